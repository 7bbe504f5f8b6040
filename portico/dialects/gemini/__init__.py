"""Gemini's GenerateContent protocol: what comes in is read, what goes out is written here."""
