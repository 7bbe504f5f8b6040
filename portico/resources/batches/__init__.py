"""Many requests that are sent at once and answered within a day."""
