"""The search language, and the reading of matching customers."""
