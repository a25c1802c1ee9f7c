"""The mount: between the kernel and every user's own agent. Holds no key and no data, and has no network."""
