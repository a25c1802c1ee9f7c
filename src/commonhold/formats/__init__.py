"""Bytes ↔ values, pure. Every decoder states its limits and refuses with `Malformed`."""
