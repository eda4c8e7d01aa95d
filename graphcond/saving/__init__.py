"""What others released, read and written in their layouts."""
