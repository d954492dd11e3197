"""What happened in a home, also after the end: one file per start, and the causes that are read from it.

Nothing here is imported by the supervisor. A full disk or a read-only home costs the record, not the system.
"""
