"""`portico invoice`, and what it needs before the first."""
