"""Pure values and rules: what decides. No sockets, files, threads or wall clock; time is an argument."""
