"""How Regulars scales: `make bench-scale`."""
