"""Faults done to real processes on loopback, and what must hold all the same."""
