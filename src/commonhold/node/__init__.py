"""The node: keeps and moves blocks for everybody on a host, and can read nothing."""
