"""Packs as shares: any k of n servers' restore one, and no two servers' have anything in common. Pure."""
