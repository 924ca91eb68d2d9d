"""How good the data is, row by row, while it comes."""
