"""Floor 4: facts about an installed system, turned into a spec."""
