"""Quality of the data, row by row, while it comes."""
