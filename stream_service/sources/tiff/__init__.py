"""Recorded scans in TIFF files."""
