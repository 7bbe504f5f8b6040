"""Stripe: its SDK, its JSON, its signatures."""
