"""What is served here and for how much: changed by the operator, and noted."""
