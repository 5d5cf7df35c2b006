"""The customers of a business, and the rules by which they are kept."""
