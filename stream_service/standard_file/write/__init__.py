"""Writing of standard files."""
