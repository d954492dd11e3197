"""Floor 4: the socket in the home, for the second terminal."""
