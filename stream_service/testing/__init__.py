"""Parts for tests and for the demo: a private EPICS network, an example file, a recording in memory, a manual clock."""
