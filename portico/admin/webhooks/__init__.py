"""Webhooks over the admin API."""
