"""Nouns of billing."""
