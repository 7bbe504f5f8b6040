"""JSON schemas turned round: a value that satisfies one, the same for the same seed."""
