"""The simulated areaDetector: driver and plugins."""
