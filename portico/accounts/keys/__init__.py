"""API keys: issued, listed, changed, replaced, revoked."""
