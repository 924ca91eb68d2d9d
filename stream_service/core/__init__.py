"""What decides: pure values and rules. No sockets, files, threads or wall clock; time is an argument."""
