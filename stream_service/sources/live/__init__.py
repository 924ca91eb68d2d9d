"""Frames and readbacks of a running beamline."""
