"""The database: tables, one writer thread with group commit, reader threads, migrations."""
