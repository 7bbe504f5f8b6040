"""Idempotency keys: a request that is sent twice runs once."""
