"""The pair families of the eight CWEs; FAMILIES is the table."""
