"""Commands for recorded scans and standard files."""
