"""Credit that comes and goes by the calendar: free tiers, commitments, expiry."""
