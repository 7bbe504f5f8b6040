"""Proofs: what shows that the books were not changed afterwards."""
