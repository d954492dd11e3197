"""Floor 1: what a terminal makes of bytes. Pure."""
