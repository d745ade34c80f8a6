"""The MCP server: what programs that work with language models may ask with one key."""
