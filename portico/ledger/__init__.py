"""Accounts, holds and transactions: money that is set aside, spent and owed."""
