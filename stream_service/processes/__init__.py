"""Subprocesses: children of this process, and work with limits."""
