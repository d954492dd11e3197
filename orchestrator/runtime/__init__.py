"""Floor 2: what the operating system gives one process: the loop, signals, locks, the home."""
