"""What the formats are read with: tables, ids, files of other libraries."""
