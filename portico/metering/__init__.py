"""What was used: a durable usage record, exactly once."""
