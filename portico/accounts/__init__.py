"""Organisations, projects and the keys they issue."""
