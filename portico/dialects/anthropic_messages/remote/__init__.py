"""`mcp_servers`: remote servers, as a request names them, and what a model is told instead."""
