"""Webhooks: their rules, the delivery of events, and the inbox of a shop's events."""
