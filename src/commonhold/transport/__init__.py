"""Connections between machines: one function that opens them, one that answers, both ends pinned to keys."""
