"""Tools of type `mcp`: remote servers, as a request names them, and what a model is told instead."""
