"""The agent's calls on the wire, as `calls` has them: what each is given, and what comes of it.

There is one definition of every call: the Protocols of `calls`. Both ends read it from there.
"""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from commonhold import calls
from commonhold.calls import Open, Watcher

PROTOCOL = 6
ROOMS = {
    "files": calls.Files,
    "pins": calls.Pins,
    "graphs": calls.Graphs,
    "keeping": calls.Keeping,
    "keys": calls.Keyring,
    "names": calls.Naming,
    "mounts": calls.Mounts,
    "tree": calls.OwnTree,
    "history": calls.History,
    "grids": calls.Grids,
}


class Call(NamedTuple):
    """One call: the types of what it is given and of its result (of a stream: its items); whether it is watched."""

    given: Any
    result: Any
    stream: bool
    watched: bool


def _call(method: Any) -> Call:
    hints = get_type_hints(method)
    result = hints.pop("return")
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    given = [hints[name] for name in names if hints[name] is not Watcher]
    stream = get_origin(result) is Iterator
    return Call(
        tuple[tuple(given)] if given else tuple[()],  # type: ignore[misc]
        get_args(result)[0] if stream else result,
        stream,
        len(given) < len(names),
    )


def _calls(room: type) -> dict[str, Any]:
    return {name: found for name, found in vars(room).items() if inspect.isfunction(found) and name[0] != "_"}


class Table:
    """Calls by name. What they are given is read when one is first asked for: a command makes one call of thirty."""

    def __init__(self) -> None:
        self._methods = {f"{at}.{name}": one for at, room in ROOMS.items() for name, one in _calls(room).items()}
        self._told = _calls(Watcher)
        self._known: dict[str, Call] = {}

    def call(self, name: str) -> Call | None:
        """A call by its name, such as `files.add`."""
        return self._read(name, self._methods)

    def told(self, name: str) -> Call | None:
        """What a watcher is told, such as `bytes`."""
        return self._read(name, self._told)

    def _read(self, name: str, methods: dict[str, Any]) -> Call | None:
        if name not in self._known and name in methods:
            self._known[name] = _call(methods[name])
        return self._known.get(name) if name in methods else None


class Hello(NamedTuple):
    """What the agent says of itself, in every version: its version, its protocol, its process."""

    version: str
    protocol: int
    process: int


class Coming(NamedTuple):
    """What a caller says before all calls: the node that they are about, and how the caller stands."""

    node: calls.OsPath
    cwd: Open
    umask: int
    view: str


class Welcome(NamedTuple):
    """What the agent says to that: where its user's own things are (device, inode)."""

    state: tuple[int, int]
    alike: bool  # it sees the same files, and may do the same with them, as the caller
