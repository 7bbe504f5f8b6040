"""Alerts: what somebody has to be told, until they were."""
