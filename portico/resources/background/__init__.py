"""Responses that nobody waits for: in line, under way, and what they have said so far."""
