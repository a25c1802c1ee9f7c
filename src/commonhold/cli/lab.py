"""A whole grid on this machine, to rehearse with: a blesser, introducers, servers and users, as real processes.

`up` builds it and starts it; then it can be broken in the ways in which grids break, and mended. All of it is below one
directory and at loopback; each user is a repository below it, to be used with --repo. `rehearse` does both by itself
while users work: it knows of each step how it must end, and stops with an error where the grid does otherwise.
"""

import argparse
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.cli.values import size
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.lab.plan import Plan

EXAMPLES = """examples:
  hold lab up lab --servers 5 --users alice,bob
  hold --repo lab/alice put ~/Documents
  hold lab kill lab server2 server4
  hold lab slow lab server1 --rate 100K --delay 200
  hold lab partition lab server3 intro1
  hold lab partition lab alice server4     # only these two from each other
  hold lab hostile lab server5
  hold lab mend lab
  hold lab rehearse lab --seed 7 --steps 40
  hold lab down lab --remove"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `lab`."""
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="up|status|kill|partition|slow|damage|hostile|mend|rehearse|down"
    )
    up = verbs.add_parser("up", help="build a lab, and start it; of one that is there, start what does not run")
    up.add_argument("lab", metavar="DIR", type=Path, help="its directory, which is made")
    up.add_argument("--servers", type=int, default=5, metavar="N", help="storage servers (5)")
    up.add_argument("--introducers", type=int, default=2, metavar="N", help="introducers (2)")
    up.add_argument("--users", default="alice,bob", metavar="NAME,…", help="who joins (alice,bob)")
    up.add_argument("--quota", default="10G", metavar="SIZE", help="of each of them at each server (10G)")
    _about(verbs.add_parser("status", help="which parts run, and how their wires are"), parts=False)
    _about(verbs.add_parser("kill", help="kill parts with -9; `up` starts them again"))
    _about(verbs.add_parser("partition", help="cut parts off from all; or servers from users, if some are named, too"))
    slow = _about(verbs.add_parser("slow", help="have parts be far away"))
    slow.add_argument("--rate", type=size, default=1 << 20, metavar="SIZE", help="bytes a second each way (1M)")
    slow.add_argument("--delay", type=int, default=100, metavar="MS", help="milliseconds until a piece arrives (100)")
    _about(verbs.add_parser("damage", help="flip a bit in every share that servers have: a bad disk"))
    _about(verbs.add_parser("hostile", help="have servers lie: they take what comes, and give back other bytes"))
    rehearse = _about(
        verbs.add_parser("rehearse", help="have all this befall it, as a seed says, while users work"), parts=False
    )
    rehearse.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed, the same trace (0)")
    rehearse.add_argument("--steps", type=int, default=30, metavar="N", help="how many (30)")
    mend = verbs.add_parser("mend", help="let wires be as they were, and start what does not run")
    mend.add_argument("lab", metavar="DIR", type=Path, help="the lab")
    down = verbs.add_parser("down", help="end all its processes")
    down.add_argument("lab", metavar="DIR", type=Path, help="the lab")
    down.add_argument("--remove", action="store_true", help="and delete the directory, with all that was kept there")


def _about(parser: argparse.ArgumentParser, parts: bool = True) -> argparse.ArgumentParser:
    parser.add_argument("lab", metavar="DIR", type=Path, help="the lab")
    if parts:
        parser.add_argument("parts", nargs="+", metavar="PART", help="as status lists them")
    return parser


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    from commonhold.lab import building, plan

    directory = args.lab.absolute()
    if args.verb == "up" and not (directory / plan.FILE).exists():
        _build(args, directory, out)
        return 0
    found = plan.read(directory)
    if args.verb == "down":
        building.stop(directory, found)
        if args.remove:
            _remove(directory, found)
        out.result({"lab": str(directory), "state": "down"}, f"{directory}: down")
        return 0
    if args.verb == "rehearse":
        return _rehearse(args, directory, found, out)
    if args.verb in ("up", "mend"):
        for part in found.parts:
            if args.verb == "mend":
                building.straighten(directory, part)
                building.honest(directory, part)
            building.start(directory, part)
    elif args.verb != "status":
        _break(args, directory, found)
    _status(directory, found, out)
    return 0


def _build(args: argparse.Namespace, directory: Path, out: Output) -> None:
    from commonhold.lab import building

    for name, most in (("servers", building.MAX_SERVERS), ("introducers", building.MAX_INTRODUCERS)):
        if not 1 <= getattr(args, name) <= most:
            raise HoldError("lab", Kind.USAGE, f"--{name}", f"1 to {most} are possible")
    users = [name for name in args.users.split(",") if name]
    found = building.build(directory, args.servers, args.introducers, users, args.quota, out.remark)
    _status(directory, found, out)


def _break(args: argparse.Namespace, directory: Path, found: "Plan") -> None:
    from commonhold.lab import building, processes
    from commonhold.lab.wire import State

    users = [name for name in args.parts if name in found.users] if args.verb == "partition" else []
    parts = [found.part(name) for name in args.parts if name not in users] or list(found.servers)
    for part in parts:
        if args.verb == "kill":
            processes.end(directory, part.name, signal.SIGKILL)
        elif args.verb == "partition":
            for user in users or [None]:
                building.cut(directory, part, user)
        elif args.verb == "hostile":
            building.lie(directory, part)
        elif args.verb == "slow":
            building.bend(directory, part, State(False, max(1, args.rate), max(0, args.delay) / 1000))
        else:
            building.damage(directory, part)


def _rehearse(args: argparse.Namespace, directory: Path, found: "Plan", out: Output) -> int:
    from commonhold.lab.rehearsal import Rehearsal

    for number, (step, ended) in enumerate(Rehearsal(directory, found, args.seed).play(args.steps), 1):
        row = {"step": number, "what": step.text, "ended": ended}
        out.result(row, f"{number:3} {step.text}: {ended}")
        if ended != step.ends:
            raise HoldError("lab rehearse", Kind.FAILED, f"step {number}", f"it was to end so: {step.ends}")
    return 0


def _status(directory: Path, found: "Plan", out: Output) -> None:
    from commonhold.lab import building, processes

    for part in found.parts:
        pid = processes.running(directory, part.name)
        wire = building.bent(directory, part)
        lines = {user: building.bent(directory, part, user) for user in part.lines}
        lies = bool(pid) and building.lies(directory, part)
        row = {"part": part.name, "process": pid, "wire": wire, "port": part.wire, "lines": lines, "lies": lies}
        said = ("lies" if lies else "runs") if pid else "does not run"
        bent = "".join(f", to {user} {state}" for user, state in lines.items() if state != "open")
        out.result(row, f"{part.name:10} {said:13} wire {wire}{bent}")
    for user in found.users:
        out.result({"user": user, "repo": str(directory / user)}, f"{user:10} hold --repo {directory / user} …")


def _remove(directory: Path, found: "Plan") -> None:
    from commonhold.errors import os_errors
    from commonhold.host.removing import remove_tree

    with os_errors("lab", str(directory)):
        above = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(above, directory.name)
        finally:
            os.close(above)
