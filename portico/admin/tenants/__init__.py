"""Organisations, projects, people, keys and limits over the admin API."""
