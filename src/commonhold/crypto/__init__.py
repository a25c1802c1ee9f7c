"""Keys, ciphers and signatures. Pure: randomness and time are arguments."""
