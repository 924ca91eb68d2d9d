"""What people write: profiles, requests and beamline folders."""
