"""The peers: the same list, node and create, written as each one's own documentation has it."""
