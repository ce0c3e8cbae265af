"""Clients in Python and TypeScript, generated from the OpenAPI document, checked, and tried on the running service."""
