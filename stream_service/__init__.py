"""ptychostream: the live areaDetector streaming service and its offline tools."""
