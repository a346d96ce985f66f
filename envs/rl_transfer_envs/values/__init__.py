"""What may stand for a value in a specification, and how it is read."""
