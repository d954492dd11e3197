"""orchestrate runs all components of a system under one parent, each in a real terminal of its own."""

__version__ = "0.1.0"
