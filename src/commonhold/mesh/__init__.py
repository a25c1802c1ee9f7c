"""The shell around `gossip`: connections, clock and randomness for one machine; and what a server does to be found.

Decides nothing that `gossip` decides. docs/spec/gossip.md.
"""
