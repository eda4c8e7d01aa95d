"""The metrics; `registry` lists them."""
