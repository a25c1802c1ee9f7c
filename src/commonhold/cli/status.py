"""Say which repository this is, why that one, which shape it has, what isolation that gives, and what is mounted."""

import argparse
import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold import __version__
from commonhold.cli.opening import choose, listens, place_of_state, serving
from commonhold.cli.output import Output
from commonhold.errors import HoldError
from commonhold.host import mounted
from commonhold.host.mounted import Mounted
from commonhold.host.names import shown
from commonhold.host.repository import Choice

if TYPE_CHECKING:
    from commonhold.ipc.agentclient import RemoteAgent

_ISOLATION = {
    "embedded": "it is single user; whoever can read the repository's files can read all in it that is not sealed",
    "single user": "your own node serves it; whoever is you, or can read the repository's files, can read all in it "
    "that is not sealed",
    "system": "of what others keep you see only what they let you read, and they of yours; whoever runs the node can "
    "read all in it that is not sealed",
    "refused": "a node serves it, but not you",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `status`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it. Does not open the store, so it answers while another process has it."""
    choice = choose(args)
    shape, node = _shape(choice)
    agent, attended = _agent(choice) if node else ("", False)
    places = mounted.here()
    yours = mounted.own_tree(places)
    kept = _kept(choice)
    row = {
        "version": __version__,
        "repository": str(choice.path),
        "chosen": choice.why,
        "passed_over": [{"path": str(path), "why": why} for path, why in choice.passed_over],
        "exists": os.path.exists(choice.path / "format.json"),
        "shape": shape,
        "isolation": _ISOLATION[shape],
        "node": node,
        "agent": agent,
        "mount": [one._asdict() | {"path": str(one.path)} for one in places],
        "yours": str(yours) if yours else "",
        "attended": attended,
        "kept": [{"grid": grid, "name": name, "wrong": why} for grid, name, why in kept],
    }
    there = row["exists"] or shape == "system"
    lines = [
        f"hold {__version__}",
        f"repository: {choice.path} ({choice.why})" + ("" if there else ", not there yet"),
        *(f"passed over: {path}: {why}" for path, why in choice.passed_over),
        *([f"node:       {node}"] if node else []),
        *([f"agent:      {agent}"] if agent else []),
        *([f"mount:      {_mount(places, yours, attended)}"] if places else []),
        *(f"kept:       {shown(name)} on {shown(grid)}: {shown(why)}" for grid, name, why in kept),
        f"isolation:  {shape}: {_ISOLATION[shape]}",
    ]
    out.result(row, "\n".join(lines))
    return 0


def _kept(choice: Choice) -> list[tuple[str, str, str]]:
    """What is wrong with what grids keep: grid, name, and why. `hold doctor` says what cannot be read here."""
    try:
        books = sorted((place_of_state(choice.path) / "grids").glob("*/kept.sqlite"))
    except (HoldError, OSError):
        return []
    found = []
    for path in books:
        from commonhold.grids.observing import kept
        from commonhold.grids.policies import late

        with suppress(HoldError, OSError):
            now = int(time.time())
            wrong = [*((one.name, one.wrong) for one in kept(path.parent, now)), *late(path.parent, now)]
            found += [(path.parent.name, name, why) for name, why in wrong if why is not None]
    return found


def _shape(choice: Choice) -> tuple[str, str]:
    """The shape, and what there is to say of the node."""
    try:
        node = serving(choice.path)
        if node is None:
            return "embedded", ""
        try:
            said = node.hello()
            pid = node.process()
        finally:
            node.close()
    except HoldError as error:
        return "refused", str(error)
    group = said.get("group")
    version = f"hold {str(said.get('version'))[:40]}, process {pid}"
    if group is None:
        return "single user", version
    return "system", f"{version}, for members of group {str(group)[:40]!r}"


def _mount(places: list[Mounted], yours: Path | None, attended: bool) -> str:
    """What there is to say of the mount, and of the caller's files in it."""
    paths = ", ".join(shown(str(one.path)) for one in places)
    versions = ", ".join(sorted({shown(one.version) for one in places}))
    served = "which your agent serves" if attended else "which your agent serves as soon as they are looked at"
    return f"{paths}, by hold {versions}" + (f"; your files are in {shown(str(yours))}, {served}" if yours else "")


def _agent(choice: Choice) -> tuple[str, bool]:
    """What there is to say of the caller's agent, and whether it serves a mount."""
    from commonhold.cli.reaching import running

    try:
        agent = running(place_of_state(choice.path))
    except (HoldError, OSError) as error:
        return f"cannot be asked: {error}", False
    if agent is None:
        return "starts with the next command", False
    with closing(agent):
        return f"process {agent.hello.process}, yours alone", _attended(agent, choice)


def _attended(agent: "RemoteAgent", choice: Choice) -> bool:
    """Whether an agent serves a mount; not, if it does not say so."""
    node = listens(choice.path)
    try:
        if node is not None:
            agent.open(node)
        return node is not None and bool(agent.mounts.attended())
    except (HoldError, OSError):
        return False
