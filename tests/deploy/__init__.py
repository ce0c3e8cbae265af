"""What stands in deploy/ agrees with the code; check.py runs the tools that have to be fetched."""
