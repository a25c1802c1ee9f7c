"""Keys, ciphers and signatures. Pure: randomness and time are arguments; `hpke` alone has its library draw."""
