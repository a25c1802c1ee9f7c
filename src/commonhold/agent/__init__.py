"""The agent's rooms: what understands files. Embedded now; the per-user daemon is to be wired from the same parts."""
