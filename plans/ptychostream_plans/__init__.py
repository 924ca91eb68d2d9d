"""Bluesky plans of ptychostream."""
