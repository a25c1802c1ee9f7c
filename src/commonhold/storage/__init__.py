"""The storage server: keeps other machines' shares, for accounts it was told to trust, and can read none of them."""
