"""Ciphers and keys. Pure: randomness and time are arguments."""
