"""The Customers API: its schema, and what each of its fields reads, renders or does."""
