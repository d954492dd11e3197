"""orchestrate runs all components of a system under one parent, each in a real terminal of its own.

Each folder is a room on a floor, which its first line names. A file imports only from rooms on lower floors, never up
and never sideways into another room, and each dependency has one file or room that may import it: what decides stands
low and is pure, what acts stands high and is thin. tests/unit/test_layers.py holds the table.
"""

__version__ = "0.2.0"
