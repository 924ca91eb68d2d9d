"""From exposures to rows of the file."""
