"""Floor 3: guardians, ptys and process trees."""
