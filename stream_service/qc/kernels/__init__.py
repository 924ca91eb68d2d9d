"""The numba kernels of the judgement of rows. What they share stands here, too: the cache goes by this folder."""
