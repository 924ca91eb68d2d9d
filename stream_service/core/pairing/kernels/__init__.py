"""Machine code of pairing."""
