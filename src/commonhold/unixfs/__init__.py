"""UnixFS trees as pure plans over blocks: what to make of bytes, and which blocks to ask for."""
