"""The shapes that travel between us and the Xyte cloud, one module per resource."""
