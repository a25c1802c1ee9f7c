"""What this machine's user knows of the grids they take part in: servers, and how each is reached.

docs/spec/known-servers.md. Who may be believed is `authority`'s, what may be dialled `transport.rules`'.
"""
