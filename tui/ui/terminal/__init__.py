"""Terminal input and output: a driver that survives a lost connection, and the output filter."""
