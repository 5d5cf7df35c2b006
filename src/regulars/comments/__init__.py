"""Comments: notes of colleagues about a customer, apart from the field `notes`."""
