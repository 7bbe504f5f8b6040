"""Tools of remote MCP servers."""
