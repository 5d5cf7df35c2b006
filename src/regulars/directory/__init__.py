"""The directory: the entities, the decision on a batch, and the interface to an account."""
