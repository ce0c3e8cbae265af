"""The Xyte gateway: a caller with a key asks over REST or MCP, we ask the Xyte cloud, we answer."""

__version__ = "0.1.0"
