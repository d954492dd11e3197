"""Floor 1: bytes and lines. Pure."""
