"""How busy an engine says it is: read from its metrics page, for people to look at."""
