"""The illumination: optics, probe, in-line holograms of the sample."""
