"""What entities have in common: fields, errors, ids, commands, pages of a list."""
