"""Subprocesses, and work with limits."""
