"""Measure Regulars, its peers and the floors in one interleaved run: `make bench`."""
