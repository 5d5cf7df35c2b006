"""The peers: the same list, node and create, each written as its own documentation shows."""
