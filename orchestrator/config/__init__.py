"""Floor 1: text to spec. Pure."""
