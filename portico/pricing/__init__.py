"""What usage costs: prices, terms, and pure integer arithmetic in nano-USD."""
