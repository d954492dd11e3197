"""The history of a home, available after an exit too: one record per start, and the causes derived from it.

Nothing here is imported by the supervisor. If the disk is full or the home is read-only, only the record is lost; the
system continues.
"""
