"""Who is blessed, who may store, what is revoked, when to renew. Pure: time and randomness are arguments."""
