"""Segments: saved searches, and their use inside other searches."""
