"""What the preparation needs of alembic: a database always has the newest schema, or none."""
