"""orchestrate runs all components of a system under one parent, each in a real terminal.

Each folder is on a floor, which the first line of its docstring names. A file imports only from folders on lower
floors, never up and never sideways into another folder. Each dependency may be imported by one file or folder only.
Code that decides is on low floors and is pure; code that acts is on high floors and is thin. tests/unit/test_layers.py
holds the table.
"""

__version__ = "0.2.0"
