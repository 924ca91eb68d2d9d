"""The command `ptychostream`."""
