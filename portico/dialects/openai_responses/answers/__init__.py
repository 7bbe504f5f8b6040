"""Answers written from canon events, streamed or whole."""
