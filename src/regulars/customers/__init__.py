"""What a customer is: its fields. Imports nothing of the layers."""
