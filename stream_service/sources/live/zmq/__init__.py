"""Frames over ZMQ: a socket that all runs share, a source for each, and one file for each dialect."""
