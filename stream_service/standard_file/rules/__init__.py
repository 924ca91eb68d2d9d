"""Rules of a good standard file."""
