"""Runs beside a detector."""
