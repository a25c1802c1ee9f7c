"""Who someone is everywhere, and by which number on this host. Pure: the user database is an argument."""
