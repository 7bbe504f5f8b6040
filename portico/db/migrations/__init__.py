"""Schema changes, oldest first.  Applied when a SQLite database is opened; on PostgreSQL by `portico db upgrade`."""

HEAD = "0013"
"""The newest revision.  A database that has it is opened without loading Alembic (0.4 s)."""
