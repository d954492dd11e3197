"""Floor 6: the full-screen view, a client of the socket in the home. It never imports the supervisor."""
