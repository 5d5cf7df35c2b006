"""The Customers API: the schema, and what its fields have in common."""
