"""Stop the node that `hold up` started. What it is doing is finished first; commands work without it then."""

import argparse
import os

from commonhold.cli.opening import choose, serving
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

_SECONDS = 60.0

EXAMPLES = """examples:
  hold down"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `down`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Stop it, and wait until it has ended."""
    from commonhold.host import daemon
    from commonhold.host.repository import is_repository

    path = choose(args).path
    node = serving(path)
    if node is None:
        out.result({"repository": str(path), "stopped": False}, f"no node serves {path}")
        return 0
    pid = node.process()
    node.close()
    if not is_repository(path) or path.stat().st_uid != os.geteuid():
        why = "the node that serves it is not yours"
        raise HoldError("down", Kind.DENIED, str(path), why, hint="sudo systemctl stop commonhold-node")
    daemon.stop(pid, _SECONDS)
    out.result({"repository": str(path), "stopped": True, "pid": pid}, f"down: process {pid} has ended")
    return 0
