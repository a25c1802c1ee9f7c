"""The blesser: says which servers and accounts are of a grid, for how long, and when no more. Keeps nobody's data."""
