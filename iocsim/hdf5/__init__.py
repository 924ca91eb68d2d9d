"""The simulated NDFileHDF5."""
