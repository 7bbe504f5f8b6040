"""One request to generate, from what carries it in to its answer."""
