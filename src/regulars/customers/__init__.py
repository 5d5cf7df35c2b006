"""Customers: their fields, their rules, their history and their search."""
