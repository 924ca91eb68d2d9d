"""What the beam does to the sample and the detector."""
