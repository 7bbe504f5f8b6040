"""What was used, what it cost and who changed what, over the admin API."""
