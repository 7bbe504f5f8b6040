"""Work that nobody waits for, wired: a second way to the same journey, for callers who are gone."""
