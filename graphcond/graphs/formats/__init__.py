"""The formats that graphs are read from and written to, one a module."""
