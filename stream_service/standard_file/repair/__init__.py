"""Recovery of files that were not closed."""
