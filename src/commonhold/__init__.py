"""Commonhold: own your flat, share the building."""

__version__ = "0.1.0"
