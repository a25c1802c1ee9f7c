"""Stop your agent, and the node that `hold up` started.

What they are doing is finished first. Commands work without them then, or start an agent by themselves.
"""

import argparse
import os
from pathlib import Path

from commonhold.cli import reaching
from commonhold.cli.opening import choose, place_of_state, serving
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.host import daemon
from commonhold.host.repository import is_repository

_SECONDS = 60.0

EXAMPLES = """examples:
  hold down"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `down`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Stop them, and wait until they have ended."""
    path = choose(args).path
    agent = _stop_agent(place_of_state(path))
    node = serving(path)
    row: dict[str, object] = {"repository": str(path), "agent": agent, "stopped": False}
    said = [f"down: your agent, process {agent}, has ended"] if agent is not None else []
    if node is None:
        out.result(row, "\n".join([*said, f"no node serves {path}"]))
        return 0
    pid = node.process()
    node.close()
    if not is_repository(path) or path.stat().st_uid != os.geteuid():
        why, hint = "the node that serves it is not yours", "sudo systemctl stop commonhold-node"
        if agent is None:
            raise HoldError("down", Kind.DENIED, str(path), why, hint=hint)
        out.result(row, "\n".join(said))
        out.remark(f"note: {why}, and goes on")
        return 0
    daemon.stop(pid, _SECONDS)
    said.append(f"down: process {pid} has ended")
    out.result(row | {"stopped": True, "pid": pid}, "\n".join(said))
    return 0


def _stop_agent(state: Path) -> int | None:
    """The process of the caller's agent, which has ended; None if there was none."""
    agent = reaching.running(state)
    if agent is None:
        return None
    return reaching.end(agent)
