"""The web page: a process of its own, which reads what the service publishes, and its file (ADR 0040)."""
