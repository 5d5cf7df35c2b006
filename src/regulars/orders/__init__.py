"""What a shop records: orders, leads and visits, and the events that it sends."""
