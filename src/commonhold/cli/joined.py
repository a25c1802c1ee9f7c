"""The grids that a command is about, and what is known of their servers."""

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from commonhold.cli.opening import chosen_state
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.grids import broker, files, membership, places, reading
from commonhold.grids.broker import Ground
from commonhold.grids.choosing import chosen
from commonhold.grids.files import Files
from commonhold.grids.known import Known, KnownServer
from commonhold.grids.marked import Problem
from commonhold.grids.member import Member, lists_of
from commonhold.grids.places import Membership
from commonhold.grids.telling import problem_row

load: Callable[[Path], Membership] = membership.load  # what reads `grid.toml`


_ASK_SECONDS = 15.0


class Grid(NamedTuple):
    """A grid, its files as they were read, and what they come to."""

    membership: Membership
    ground: Ground
    files: Files
    known: Known

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong in any of its files."""
        return (*self.files.problems, *self.known.problems)

    def with_override(self, data: bytes) -> Known:
        """What it would come to by another override."""
        return broker.known(self.files.caches, reading.override(data), self.ground)


def grid_option(parser: argparse.ArgumentParser) -> None:
    """The option that names a grid."""
    parser.add_argument("--grid", metavar="NAME", help="in this grid alone (default: all that were joined)")


def grids(args: argparse.Namespace) -> Iterator[Grid]:
    """The grids that were joined, or the one that --grid names."""
    owner = os.geteuid()
    for one in places.joined(chosen_state(args), owner, load, args.grid):
        ground = Ground(one.trust, one.rules, lists_of(one, owner), int(time.time()))
        found = files.read(one.directory, owner)
        yield Grid(one, ground, found, broker.known(found.caches, found.override, ground))


def ask(args: argparse.Namespace) -> None:
    """Ask the introducers of these grids which servers there are. UNREACHABLE if none of a grid's answers."""
    owner = os.geteuid()
    for one in places.joined(chosen_state(args), owner, membership.load, args.grid):
        with contextlib.closing(Member(one, owner)) as member:
            if not asyncio.run(member.listen(_ASK_SECONDS)):
                what, hint = f"introducers of {one.name}", "hold doctor says why"
                raise HoldError("ask", Kind.UNREACHABLE, what, "none has answered in time", hint=hint)


def meant(found: list[Grid], text: str) -> tuple[Grid, tuple[KnownServer, ...]]:
    """The server that is meant, and its grid. Errors as `choosing.chosen` has them."""
    every = [server for grid in found for server in grid.known.servers]
    pins = {server.pin for server in chosen(every, text)}
    within = [grid for grid in found if any(server.pin in pins for server in grid.known.servers)]
    if len(within) > 1:
        names = ", ".join(grid.membership.name for grid in within)
        hint = f"--grid {within[0].membership.name}"
        raise HoldError("find", Kind.USAGE, f"server {text}", f"in several grids: {names}", hint=hint)
    return within[0], tuple(server for server in within[0].known.servers if server.pin in pins)


def tell_problems(grid: Grid, out: Output) -> bool:
    """Say what is wrong in a grid's files; whether anything is."""
    for problem in grid.problems:
        if out.json:
            out.result(problem_row(problem, grid.membership.name))
        else:
            out.remark(f"problem: {problem}")
    return bool(grid.problems)
