"""What every entity is described with. Imports nothing else of the program."""
