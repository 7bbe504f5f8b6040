"""Tables, the group-commit writer, readers, migrations."""
