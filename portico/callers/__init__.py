"""Who is calling: key digest to Caller."""
