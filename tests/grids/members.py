"""A member of a grid of `tests.exchange.grids`: all files that joining leaves, without a blesser that answers."""

import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonhold.authority.derived import client_seed
from commonhold.crypto.statements import signed
from commonhold.formats import charter
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER, STORAGE, Blessing
from commonhold.formats.charter import Blesser, Introducer
from commonhold.formats.hint import TcpHint
from commonhold.formats.pin import pin_of
from commonhold.formats.statement import Kind
from commonhold.grids import files, holder, membership, reading, writing
from commonhold.grids.membership import Keep, Membership, Mode
from commonhold.grids.standing import FILE, Given, Standing
from commonhold.host import private
from commonhold.transport.rules import Rules
from tests.exchange.grids import BLESSER, DAY, GRID, Client, Grid, Server, credential, grid, now, revocations
from tests.gossip.statements import pin as mesh_pin

INTRO = mesh_pin("intro")


def closed() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def announced(one: Server, leaving: bool = False, **blessed: int) -> bytes:
    """What a server says of itself, a day ago, and a second later if it is leaving."""
    held = {"not_before": now() - DAY, "not_after": now() + DAY} | blessed
    word = Blessing(grid=GRID, server=one.pin, purpose=STORAGE, classes=(), serial=4, **held)
    said = Announcement(
        grid=GRID, purpose=STORAGE, server=one.pin, addresses=("tcp:attic.example:1",), sequence=now() - DAY + leaving,
        not_after=now() + DAY, blessings=(signed(Kind.BLESSING, word.body, BLESSER).encoded,), name=one.state.name,
        leaving=leaving,
    )  # fmt: skip
    return signed(Kind.ANNOUNCEMENT, said.body, one.seed).encoded


@dataclass
class Member:
    """Alice's files of a grid whose servers are known, named at loopback by her override, and let her in."""

    directory: Path
    servers: list[Server]

    def write(self, rules: Rules | None = None, introducers: tuple[Introducer, ...] = (), **other: Any) -> None:
        """Everything as it should be, unless something is said."""
        own = Blesser(GRID.blesser, pin_of(GRID.blesser), (f"tcp:127.0.0.1:{closed()}",))
        made = charter.of_one(GRID, "family", own, (STORAGE, INTRODUCER))
        made = dataclasses.replace(made, introducers=introducers)
        mode = other.get("mode", Mode.ACCOUNT)
        account = "alice" if mode is not Mode.NONE else ""
        said = Membership(self.directory, made, mode, account, rules or Rules(), Keep(1, len(self.servers)))
        self.directory.mkdir(0o700, parents=True)
        self.directory.parent.chmod(0o700)
        private.place("join", self.directory / membership.FILE, membership.text(said).encode())
        client = Client(self.servers)
        holder.place_secret(self.directory, client.secret)
        given = [
            Given(one.pin, GRID.blesser, credential(one.pin, client_seed(client.secret, one.pin), "alice"))
            for one in self.servers
        ]
        with contextlib.closing(Standing(self.directory / FILE)) as standing:
            standing.put(given if other.get("credentials", True) else [])
            standing.put_lists(GRID.blesser, other.get("lists", [revocations()]))
        self.show(*(announced(one, **other.get("blessed", {})) for one in self.servers))
        self.override({one.pin: one.hint for one in self.servers})

    def show(self, *announcements: bytes) -> None:
        """What the introducer has shown."""
        entries = [writing.Entry(data, reading.announced(data), now()) for data in announcements]
        files.write_cache(self.directory, INTRO, entries, Rules())

    def override(self, hints: dict[Any, TcpHint]) -> None:
        clauses = [f"{pin}:\n  local:\n    hints: ['{hint}']\n    direct: true\n" for pin, hint in hints.items()]
        path = self.directory / "override.yaml"
        path.write_text("version: 1\n" + "".join(clauses))
        path.chmod(0o600)


@contextlib.asynccontextmanager
async def home(path: Path, count: int = 2, **other: Any) -> AsyncIterator[tuple[Grid, Member]]:
    """A grid, and a member of it."""
    async with grid(path, count) as there:
        member = Member(path / "grids" / "family", there.servers)
        member.write(**other)
        yield there, member
