"""Frames over ZMQ: NDPluginZMQ, and the streams of a DECTRIS detector control unit."""
