"""The illumination: optics, probe, bright-field shadow images."""
