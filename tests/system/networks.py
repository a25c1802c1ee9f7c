"""Two networks of the test's own: a world, and a home behind a router that hides it (NAT) and lets nobody in.

Namespaces of this machine, joined by virtual wires; with them goes all that is in them.
"""

import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

WORLD: Final = "198.51.100.2"  # the address of the world's one host
ROUTER: Final = "198.51.100.1"  # the home's, as the world sees it
HOME: Final = "10.77.0.2"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_number = itertools.count()
_RULES = """
table ip hold {
  chain out {
    type nat hook postrouting priority srcnat;
    oifname "world" masquerade
  }
  chain in {
    type filter hook forward priority filter;
    iifname "world" ct state established,related accept
    iifname "world" drop
  }
}
"""


class Network:
    """A namespace. `prefix` is what a command begins with that is to run there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = ["nsenter", f"--net=/run/netns/{name}", "--"]

    def enter(self) -> None:
        """Have this process be there, for good."""
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def do(self, *words: str, said: str = "") -> None:
        """Run a command there."""
        subprocess.run([*self.prefix, *words], input=said, text=True, check=True)


@contextmanager
def networks() -> Iterator[tuple[Network, Network]]:
    """The world and the home."""
    with ExitStack() as stack:
        world, router, home = (stack.enter_context(_network(name)) for name in ("world", "router", "home"))
        for one, to, subnet in ((world, "world", "198.51.100"), (home, "home", "10.77.0")):
            _ip("link", "add", "wire", "netns", one.name, "type", "veth", "peer", "name", to, "netns", router.name)
            router.do("ip", "address", "add", f"{subnet}.1/24", "dev", to)
            router.do("ip", "link", "set", to, "up")
            one.do("ip", "address", "add", f"{subnet}.2/24", "dev", "wire")
            one.do("ip", "link", "set", "wire", "up")
            one.do("ip", "route", "add", "default", "via", f"{subnet}.1")
        router.do("sysctl", "-qw", "net.ipv4.ip_forward=1")
        router.do("nft", "-f", "-", said=_RULES)
        yield world, home


@contextmanager
def _network(name: str) -> Iterator[Network]:
    made = Network(f"hold-t{os.getpid()}x{next(_number)}-{name}")
    _ip("netns", "add", made.name)
    try:
        made.do("ip", "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "del", made.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
