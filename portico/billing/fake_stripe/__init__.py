"""A Stripe of our own: what tests and demos pay at.  No card is charged."""
