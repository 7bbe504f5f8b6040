"""How much may be asked in a minute."""
