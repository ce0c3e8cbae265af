"""What this service costs beside its neighbours: `python3 dev.py bench` prints ratios of one interleaved run."""
