"""Simulated motor records."""
