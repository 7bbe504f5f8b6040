"""Final documents as PDF."""
