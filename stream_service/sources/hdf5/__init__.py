"""Recorded scans in HDF5 files."""
