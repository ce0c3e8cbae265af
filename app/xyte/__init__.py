"""One typed conversation with the Xyte cloud."""
