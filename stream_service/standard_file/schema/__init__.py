"""The tree of the standard file as data."""
