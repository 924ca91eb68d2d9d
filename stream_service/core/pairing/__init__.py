"""Pairing of frames with readbacks, by data time."""
