"""What operators see of a server: checks of its health, numbers, traces, lines of the log."""
