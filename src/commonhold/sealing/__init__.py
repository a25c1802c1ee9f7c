"""Sealed trees: blocks that only a read capability opens, and a verify capability checks unread."""
