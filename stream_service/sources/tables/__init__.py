"""Values recorded beside frames: logs, sidecars, readbacks, references."""
