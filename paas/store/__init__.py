"""Desired state: schema, migrations and one noun per file, on SQLite."""
