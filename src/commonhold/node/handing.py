"""Descriptors for a caller: they go past the transport, before the answer."""

import asyncio
import fcntl
import os
import socket
import termios

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.ipc import descriptors
from commonhold.ipc.unixhttp import GO_ON
from commonhold.node.memory import refused


def transport_of(request: web.Request) -> asyncio.Transport:
    """The connection that a request came by. ConnectionResetError where it is gone."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    return transport


def hand_over(request: web.Request, fd: int) -> None:
    """Send a descriptor.

    BUSY where the caller has not read what came before: what lies unread keeps descriptors open, which are counted.
    """
    transport = transport_of(request)
    try:
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
            if any(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))):
                raise HoldError("share", Kind.BUSY, "connection", "there is something to be read first")
            descriptors.send(sock, GO_ON, [fd])
    except ConnectionError:
        raise
    except OSError as error:
        raise refused(error) from error
