"""How much may be asked in a minute, by key, project, organisation and model."""
