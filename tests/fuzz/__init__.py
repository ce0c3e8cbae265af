"""Thousands of generated requests against the running service, and what is wrong with its answers."""
