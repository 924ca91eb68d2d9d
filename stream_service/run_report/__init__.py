"""The report of a run: one HTML file that shows it whole, made of its standard file alone."""
