"""Calls between the processes of one machine: HTTP on unix sockets, and who is at the other end."""
