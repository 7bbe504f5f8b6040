"""How much may be asked in a minute, and at once: set and taken away."""
