"""Delivers changes to the outside."""
