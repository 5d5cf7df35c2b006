"""Customers in and out: files of them, and other servers that speak this API."""
