"""Floor 0: frozen dataclasses and tables. Pure: nothing here opens, waits or prints."""
