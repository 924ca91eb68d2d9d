"""Detector orientation, found from the frames."""
