"""The trash: deleted customers with everything that belongs to them, until they are purged."""
