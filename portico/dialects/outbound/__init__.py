"""What the dialects of providers share on the way out: turns, schemas, streams, failures."""
