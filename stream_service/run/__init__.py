"""Runs: from frames and readbacks to one standard file."""
