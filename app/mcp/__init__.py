"""Every route becomes a tool; the only package that knows fastapi-mcp and the MCP SDK."""
