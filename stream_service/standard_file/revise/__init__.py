"""Revision of files whose run has ended."""
