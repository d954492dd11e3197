"""Floor 4: the supervisor."""
