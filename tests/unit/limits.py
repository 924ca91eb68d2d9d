"""The time limit of everything that a test waits for."""

HANG_S = 300.0
"""Longer than anything here takes on any machine, one that is held up for seconds included: it bounds a hang and judges
nothing. pytest's own limit of a test is longer."""
