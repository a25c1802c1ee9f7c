"""Building a lab: what a person would type on as many machines, done on one. Every step is a command of `hold`'s.

A lab is at loopback, which no announcement may name; so its users say by an override where each server is.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.lab import plan, processes
from commonhold.lab.plan import Part, Plan
from commonhold.lab.wire import LOOK_SECONDS, State

GRID: Final = "lab"
MAX_SERVERS: Final = 100
MAX_INTRODUCERS: Final = 10
_WIRES: Final = "wires"
_BLESSER: Final = "blesser"
_SETTLES: Final = 60.0
_PAUSE: Final = 0.5

Told = Callable[[str], None]


def build(directory: Path, servers: int, introducers: int, users: Sequence[str], quota: str, told: Told) -> Plan:
    """Make a lab, and start it. EXISTS where there is one, or anything else: all of a lab is removed one day. If it
    fails its processes are ended, and their files left to be looked at."""
    if (directory / plan.FILE).exists():
        raise HoldError("lab", Kind.EXISTS, str(directory), "there is a lab", hint=f"hold lab down {directory}")
    for name in users:
        plan.check_user(name)
    with os_errors("lab", str(directory)):
        disk.make_directory(directory, 0o700)
        if any(directory.iterdir()):
            why = "there are other things in it"
            raise HoldError("lab", Kind.EXISTS, str(directory), why, hint="name a directory that is not there yet")
        (directory / _WIRES).mkdir()
    count = 2 * (1 + servers + introducers) + servers * len(users)
    builder = _Builder(directory, processes.free_ports(count, hash(str(directory))), told)
    try:
        builder.bless()
        builder.introduce(introducers)
        builder.serve(servers, users)
        for name in users:
            builder.join(name, quota)
        found = builder.plan(users)
        plan.write(directory, found)
        if users:
            settle(directory, found, users[0])
            told("every server is known")
    except BaseException:
        stop(directory, builder.plan(users))
        raise
    return found


class _Builder:
    def __init__(self, directory: Path, ports: list[int], told: Told) -> None:
        self._directory = directory
        self._ports = ports
        self._told = told
        self._parts: list[Part] = []
        self._pins: dict[str, str] = {}
        self._grid = ""

    def plan(self, users: Sequence[str]) -> Plan:
        """What was made so far."""
        return Plan(self._grid, tuple(self._parts), tuple(users), self._pins)

    def _part(self, name: str, *words: str, users: Sequence[str] = ()) -> Part:
        made = Part(name, words, self._ports.pop(), self._ports.pop(), {user: self._ports.pop() for user in users})
        self._parts.append(made)
        return made

    def bless(self) -> None:
        """The one who says who is in."""
        repo = str(self._directory / _BLESSER)
        part = self._part(_BLESSER, "--repo", repo, "grid", "serve", GRID)
        processes.said("--repo", repo, "init")
        where = ("--listen", f"tcp:127.0.0.1:{part.port}", "--announce", f"tcp:127.0.0.1:{part.wire}")
        self._grid = processes.said("--repo", repo, "grid", "create", GRID, *where)
        self._told(f"grid {self._grid}")

    def introduce(self, count: int) -> None:
        """Those who pass announcements on: each knows the first."""
        rows = []
        first: str | None = None
        for number in range(1, count + 1):
            name = f"intro{number}"
            state = str(self._directory / name)
            part = self._part(name, "introducer", "run", state)
            at = f"tcp:127.0.0.1:{part.wire}"
            where = ["--listen", f"tcp:127.0.0.1:{part.port}", "--announce", at, "--name", name]
            known = ["--introducer", first] if first else []
            address = processes.said("introducer", "init", state, "--grid", self._grid, *where, *known)
            self._pins[name] = address.partition("@")[0]
            first = first or f"{self._pins[name]}@{at}"
            rows.append(f"\n[[introducers]]\npin = {json.dumps(self._pins[name])}\naddresses = {json.dumps([at])}\n")
            start(self._directory, part)
        config = self._directory / _BLESSER / "grids" / GRID / "blesser.toml"
        with os_errors("lab", str(config)):
            config.write_text(config.read_text() + "".join(rows))
        start(self._directory, self._parts[0])
        self._told(f"blesser, {count} introducers")

    def serve(self, count: int, users: Sequence[str]) -> None:
        """Those who keep shares: each is invited, and blessed when it comes up."""
        for number in range(1, count + 1):
            name = f"server{number}"
            state = str(self._directory / name)
            part = self._part(name, "server", "run", state, users=users)
            where = ["--listen", f"tcp:127.0.0.1:{part.port}", "--announce", f"tcp:127.0.0.1:{part.wire}"]
            self._pins[name] = processes.said("server", "init", state, "--grid", self._grid, *where, "--name", name)
            repo = str(self._directory / _BLESSER)
            code = processes.said("--repo", repo, "invite", "--server", "--purpose", "storage", "--long")
            processes.said("join", code, "--server", state)
            start(self._directory, part)
            self._told(name)

    def join(self, user: str, quota: str) -> None:
        """Somebody who keeps things there."""
        repo = str(self._directory / user)
        processes.said("--repo", repo, "init")
        code = processes.said("--repo", str(self._directory / _BLESSER), "invite", user, "--quota", quota, "--long")
        processes.said("--repo", repo, "join", code)
        clauses = [
            f"{self._pins[part.name]}: # {part.name}\n  local:\n    hints: ['tcp:127.0.0.1:{part.lines[user]}']\n"
            for part in self._parts
            if part.lines
        ]
        path = self._directory / user / "grids" / GRID / "override.yaml"
        with os_errors("lab", str(path)):
            disk.replace_file(str(path), f"version: 1\n{''.join(clauses)}".encode())
        self._told(f"{user}: hold --repo {repo} …")


def settle(directory: Path, found: Plan, user: str) -> None:
    """Wait until a user knows every server, and may put something there. FAILED if that takes too long."""
    wanted = {found.pins[part.name] for part in found.servers}
    until = time.monotonic() + _SETTLES
    while time.monotonic() < until:
        rows = processes.rows("--repo", str(directory / user), "servers", "--ask")
        if wanted <= {row["pin"] for row in rows if row.get("upload", {}).get("allowed")}:
            return
        time.sleep(_PAUSE)
    raise HoldError("lab", Kind.FAILED, user, f"does not know every server after {_SETTLES:g} s")


# ── what is done to a part ──


def start(directory: Path, part: Part) -> None:
    """Start a part and its wire, as far as they do not run; return when it listens."""
    wire = f"{part.name}-wire"
    if processes.running(directory, wire) is None:
        straighten(directory, part)
        words = [str(part.port), str(_told(directory, part)), str(part.wire)]
        for user, port in part.lines.items():
            words += [str(_told(directory, part, user)), str(port)]
        processes.start(directory, wire, [*processes.module("commonhold.lab.wire"), *words])
    if processes.running(directory, part.name) is None:
        (directory / f"{part.name}.lies").unlink(missing_ok=True)
        processes.start(directory, part.name, processes.hold(*part.words))
    processes.listens(directory, part.name, part.port)
    processes.listens(directory, wire, part.wire)


def lie(directory: Path, part: Part) -> None:
    """Start a server anew as one that lies. USAGE for what is no server."""
    _server(part)
    processes.end(directory, part.name)
    with os_errors("lab", part.name):
        (directory / f"{part.name}.lies").touch()
    processes.start(directory, part.name, [*processes.module("commonhold.lab.liar"), str(directory / part.name)])
    processes.listens(directory, part.name, part.port)


def lies(directory: Path, part: Part) -> bool:
    """Whether it was told to."""
    return (directory / f"{part.name}.lies").exists()


def honest(directory: Path, part: Part) -> None:
    """Start a server anew that was told to lie, or does not run."""
    if lies(directory, part):
        processes.end(directory, part.name)
    start(directory, part)


def _told(directory: Path, part: Part, user: str | None = None) -> Path:
    return directory / _WIRES / (part.name if user is None else f"{part.name}.{user}")


def bend(directory: Path, part: Part, state: State, user: str | None = None) -> None:
    """Have a part's wire be so; or only a user's line to it."""
    path = _told(directory, part, user)
    with os_errors("lab", str(path)):
        disk.replace_file(str(path), f"{state.text}\n".encode())
    time.sleep(2 * LOOK_SECONDS)  # until it counts


def cut(directory: Path, part: Part, user: str | None) -> None:
    """Cut a part off from all, or from a user. USAGE for a line that there is not."""
    if user is not None and user not in part.lines:
        raise HoldError("lab", Kind.USAGE, part.name, "only servers have a line to each user")
    bend(directory, part, State(cut=True), user)


def straighten(directory: Path, part: Part) -> None:
    """Have a part's wire, and all lines to it, hand on everything."""
    for user in (None, *part.lines):
        if bent(directory, part, user) != State().text:
            bend(directory, part, State(), user)


def bent(directory: Path, part: Part, user: str | None = None) -> str:
    """How a part's wire is."""
    try:
        return _told(directory, part, user).read_text().strip()
    except OSError:
        return "gone"


def _server(part: Part) -> None:
    if not part.name.startswith("server"):
        raise HoldError("lab", Kind.USAGE, part.name, "only servers have shares")


def stop(directory: Path, found: Plan) -> None:
    """End all processes of a lab, wires last."""
    for part in reversed(found.parts):
        processes.end(directory, part.name)
    for part in found.parts:
        processes.end(directory, f"{part.name}-wire")


def damage(directory: Path, part: Part) -> int:
    """Flip a bit of every share that a server has; how many shares. USAGE for what is no server."""
    _server(part)
    count = 0
    for path in sorted((directory / part.name / "shares").glob("??/*")):
        with os_errors("lab", str(path)), path.open("r+b") as file:
            middle = path.stat().st_size // 2
            file.seek(middle)
            byte = file.read(1)
            file.seek(middle)
            file.write(bytes((byte[0] ^ 1,)))
            count += 1
    return count
