"""What was promised of an answer and the engine may not keep: kept here, between it and the caller."""
