"""The relay: a daemon that hands connections on to servers that nobody can dial, and can read none of them."""
