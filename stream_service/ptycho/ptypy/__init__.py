"""PtyPy: scripts for it, and its supervision."""
