"""Counters and log shape; emits, decides nothing."""
