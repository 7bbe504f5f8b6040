"""Where a request begins and ends, and which are served at all."""
