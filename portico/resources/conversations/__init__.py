"""Conversations: items in their order, which requests read and add to, one at a time."""
