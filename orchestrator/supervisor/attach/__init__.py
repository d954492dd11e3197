"""Attached terminals: the sessions of one instance, and their clients."""
