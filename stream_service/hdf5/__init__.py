"""HDF5 files of others: opened as they are, and followed no further than the operator lets them be."""
