"""Endpoints of organisations: made, changed, tried out; what was sent to them, sent again."""
