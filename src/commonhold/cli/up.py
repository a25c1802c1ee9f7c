"""Serve your repository by a node of your own and your agent, in the background: no root is needed.

From then on several of your commands may work at once. The other commands find them by themselves; they need none.
Without a repository of your own, as where the machine's node serves you, only your agent is started.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli import reaching
from commonhold.cli.opening import choose, serving, state_of
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.host import daemon
from commonhold.host.repository import require

if TYPE_CHECKING:
    import subprocess

    from commonhold.ipc.nodeclient import NodeStore

_SECONDS = 30.0
_LOG = "node.log"

EXAMPLES = """examples:
  hold up
  hold --repo ~/.hold up && hold down"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `up`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Start them, and wait until they answer."""
    path = choose(args).path.absolute()
    node = serving(path)
    fresh = node is None
    if node is None:
        require(path)
        if path.stat().st_uid != os.geteuid():
            raise HoldError("up", Kind.DENIED, str(path), "not yours", hint="hold init, for one of your own")
        command = [sys.executable, "-m", "commonhold.cli", "--repo", str(path), "node"]
        node = _wait(daemon.start(command, path / _LOG), path)
    pid = node.process()
    node.close()
    agent, begun = _agent(state_of(path))
    out.result(
        {"repository": str(path), "pid": pid, "agent": agent, "started": fresh, "agent_started": begun},
        f"{'up' if fresh else 'was up'}: a node of process {pid} serves {path}\n"
        f"{'up' if begun else 'was up'}: your agent, process {agent}",
    )
    return 0


def _agent(state: Path) -> tuple[int, bool]:
    """The process of the caller's agent, and whether it was started now."""
    found = reaching.running(state)
    begun = found is None
    if found is None:
        found = reaching.wait(state, reaching.start(state, None))
    pid = found.hello.process
    found.close()
    return pid, begun


def _wait(process: "subprocess.Popen[bytes]", path: Path) -> "NodeStore":
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        node = serving(path)
        if node is not None:
            return node
        if process.poll() is not None:
            why = daemon.last_words(path / _LOG) or f"it ended with code {process.returncode}"
            raise HoldError("up", Kind.FAILED, str(path), why, hint=f"less {path / _LOG}")
        time.sleep(0.02)
    process.terminate()
    raise HoldError("up", Kind.UNREACHABLE, str(path), f"no answer in {_SECONDS:g} s", hint=f"less {path / _LOG}")
