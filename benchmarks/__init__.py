"""Benchmarks: what painting costs beside the published algorithms and beside touching the data."""
