"""Long work that is neither lost nor done twice: its state, fence, reconciler, result and cancelling."""
