"""Floor 3: where bytes go: the terminal and the log files."""
