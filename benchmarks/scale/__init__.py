"""Measure how Regulars scales: `make bench-scale`."""
