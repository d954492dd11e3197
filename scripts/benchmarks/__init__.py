"""What `scripts/bench` measures: a module a part, over the modules they share. Linux only (/proc, strace)."""
