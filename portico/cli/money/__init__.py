"""What an operator types about money."""
