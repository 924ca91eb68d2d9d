"""Commands used at a beamline."""
