"""Accounts, their tokens, and the sessions of the pages."""
