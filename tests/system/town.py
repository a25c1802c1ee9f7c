"""A grid of real processes that announce onion addresses, and servers others before them, that lead astray."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from commonhold.crypto import sign
from commonhold.formats import hint
from commonhold.formats.hint import TcpHint, TorHint
from commonhold.formats.keys import Seed
from commonhold.lab import processes

GRID: Final = "town"
SERVERS: Final = 3
ASTRAY: Final = "1.2.3.4"  # where nobody of ours is


@dataclass
class Town:
    """`names` says where each onion address leads; `pins` has those of the servers."""

    path: Path
    names: dict[str, TcpHint] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    listening: dict[str, TcpHint] = field(default_factory=dict)
    _words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grid: str = ""

    def hold(self, *words: str) -> str:
        """The last line that a command says."""
        return processes.said(*words)

    def code(self, *words: str) -> str:
        """An invitation."""
        return self.hold("--repo", str(self.path / "blesser"), "invite", *words, "--long")

    def begin(self, name: str) -> None:
        """Have a part run."""
        processes.start(self.path, name, ["setpriv", "--pdeathsig=KILL", *processes.hold(*self._words[name])])
        processes.listens(self.path, name, self.listening[name].port)

    def end(self, name: str) -> None:
        """Have it end."""
        processes.end(self.path, name)

    def close(self) -> None:
        """Have all end."""
        for name in reversed(self._words):
            self.end(name)

    def build(self) -> None:
        """Make all of it."""
        names = ["blesser", "introducer", *(f"server{number}" for number in range(1, SERVERS + 1))]
        ports = processes.free_ports(len(names), hash(str(self.path)))
        self.listening = {name: TcpHint("127.0.0.1", port) for name, port in zip(names, ports, strict=True)}
        repo = str(self.path / "blesser")
        self.hold("--repo", repo, "init")
        here = str(self.listening["blesser"])
        places = ("--listen", here, "--announce", str(self._onion("blesser")), "--announce", here)
        self.grid = self.hold("--repo", repo, "grid", "create", GRID, *places)
        self._words["blesser"] = ("--repo", repo, "grid", "serve", GRID)
        self._introduce()
        self.begin("blesser")
        for name in names[2:]:
            self._server(name)

    def _introduce(self) -> None:
        state, here = str(self.path / "introducer"), self.listening["introducer"]
        onion = self._onion("introducer")
        where = ("--listen", str(here), "--announce", str(onion), "--name", "introducer")
        said = self.hold("introducer", "init", state, "--grid", self.grid, *where)
        self._words["introducer"] = ("introducer", "run", state)
        self.begin("introducer")
        pin, addresses = said.partition("@")[0], [str(onion), str(here)]
        row = f"\n[[introducers]]\npin = {json.dumps(pin)}\naddresses = {json.dumps(addresses)}\n"
        config = self.path / "blesser" / "grids" / GRID / "blesser.toml"
        config.write_text(config.read_text() + row)

    def _server(self, name: str) -> None:
        state = str(self.path / name)
        where = ["--listen", str(self.listening[name])]
        for one in (f"tcp:{name}.example:4444", f"tcp:{ASTRAY}:4444", str(self._onion(name))):
            where += ["--announce", one]
        self.pins[name] = self.hold("server", "init", state, "--grid", self.grid, *where, "--name", name)
        self.hold("join", self.code("--server", "--purpose", "storage"), "--server", state)
        self._words[name] = ("server", "run", state)
        self.begin(name)

    def _onion(self, name: str) -> TorHint:
        """The address of a part, which the proxy knows."""
        found = hint.onion(sign.public_key(Seed(name.encode().ljust(32))), 80)
        self.names[found.host] = self.listening[name]
        return found


@contextlib.contextmanager
def town() -> Iterator[Town]:
    """One, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="hold-town-") as path:
        made = Town(Path(path))
        try:
            made.build()
            yield made
        finally:
            made.close()
