"""The search language, and how the customers who meet a condition are read."""
