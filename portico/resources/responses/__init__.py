"""Responses that were asked to be kept: read again, followed by others, deleted."""
