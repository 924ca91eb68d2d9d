"""Bluesky devices of ptychostream."""
