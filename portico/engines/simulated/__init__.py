"""An engine that says and fails on demand."""
