"""Work that nobody waits for: each piece of it is a request like any other."""
