"""The site: pages from docs/, reference from the application itself, and collections for API clients."""
