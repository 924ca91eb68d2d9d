"""Runs over recorded scans."""
