"""Commands from a standard file to an image."""
