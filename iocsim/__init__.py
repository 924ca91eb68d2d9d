"""iocsim: a simulated soft X-ray ptychography beamline, served over CA and PVA."""
