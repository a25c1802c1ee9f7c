"""What a client does with storage servers: packs go out as shares, and come back. Blind: it opens no sealed block."""
