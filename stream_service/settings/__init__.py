"""Documents that people write: profiles, requests and beamline folders."""
