"""Portico: the front door to a model."""
