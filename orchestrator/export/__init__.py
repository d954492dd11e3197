"""Floor 5: a definition for another engine, with a list of what that engine has no counterpart for."""
