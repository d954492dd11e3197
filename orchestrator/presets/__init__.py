"""Floor 5: facts about an installed system, turned into a spec."""
