"""Serve your repository by a node of your own, in the background: no root is needed.

From then on several of your commands may work at once. The other commands find it by themselves; they need none.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.opening import choose, serving
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

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
    """Start it, and wait until it answers."""
    from commonhold.host import daemon
    from commonhold.host.repository import require

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
    out.result(
        {"repository": str(path), "pid": pid, "started": fresh},
        f"{'up' if fresh else 'was up'}: a node of process {pid} serves {path}",
    )
    return 0


def _wait(process: "subprocess.Popen[bytes]", path: Path) -> "NodeStore":
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        node = serving(path)
        if node is not None:
            return node
        if process.poll() is not None:
            why = _last_words(path / _LOG) or f"it ended with code {process.returncode}"
            raise HoldError("up", Kind.FAILED, str(path), why, hint=f"less {path / _LOG}")
        time.sleep(0.02)
    process.terminate()
    raise HoldError("up", Kind.UNREACHABLE, str(path), f"no answer in {_SECONDS:g} s", hint=f"less {path / _LOG}")


def _last_words(log: Path) -> str:
    """Why the node says it ended: the last error of its log."""
    lines = log.read_bytes()[-8192:].decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ")[:500] if errors else ""
