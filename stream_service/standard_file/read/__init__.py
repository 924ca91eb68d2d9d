"""Reading of standard files."""
