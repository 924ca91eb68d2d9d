"""Opening of HDF5 input files: as they are, with links followed no further than the operator allows."""
