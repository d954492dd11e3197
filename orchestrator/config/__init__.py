"""Floor 1: converts text to a spec. Pure."""
