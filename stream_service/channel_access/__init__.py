"""Channel Access by pyepics: one set of EPICS libraries, and channels that come and go."""
