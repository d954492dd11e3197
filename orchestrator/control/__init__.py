"""Floor 5: the socket in the home, for the second terminal."""
