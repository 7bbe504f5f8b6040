"""What models cost: set, listed, imported."""
