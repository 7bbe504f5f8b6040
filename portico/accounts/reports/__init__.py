"""What was used, what it cost and who changed what, for whoever may see it."""
