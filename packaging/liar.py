"""A node that lies, for the demo: relays to a real one, and changes a bit near the end of every long answer."""

import os
import socket
import sys
import threading

REAL, FALSE = sys.argv[1:]


def relay(source: socket.socket, sink: socket.socket, *, lying: bool) -> None:
    """Pass on what comes."""
    while data := source.recv(1 << 20):
        if lying and len(data) > 4096:
            data = data[:-1] + bytes((data[-1] ^ 1,))
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def main() -> None:
    """Serve until killed."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(FALSE)
    os.chmod(FALSE, 0o666)
    listening.listen()
    while True:
        caller, _ = listening.accept()
        real = socket.socket(socket.AF_UNIX)
        real.connect(REAL)
        threading.Thread(target=relay, args=(caller, real), kwargs={"lying": False}, daemon=True).start()
        threading.Thread(target=relay, args=(real, caller), kwargs={"lying": True}, daemon=True).start()


main()
