"""What judges texts: the rules, and a guard as the operator set it up."""
