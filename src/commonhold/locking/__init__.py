"""Locks on byte ranges and whole files: who holds what, who waits, who is next. Pure."""
