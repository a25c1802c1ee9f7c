"""Run your agent in the foreground: it holds your keys, understands your files, and checks what the node hands out.

There is one for each user, and nobody else may call it. Commands that work through a node start one by themselves.
"""

import argparse
import os
import socket
from contextlib import closing
from pathlib import Path

from commonhold.cli.opening import agent_socket, choose, listens, state_of
from commonhold.cli.output import Output
from commonhold.cli.values import natural
from commonhold.errors import HoldError, Kind, os_errors

EXAMPLES = """examples:
  hold agent
  hold agent --idle 600"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `agent`."""
    parser.add_argument(
        "--idle", type=natural, metavar="SECONDS", help="end when nobody was connected for so long (default: never)"
    )
    parser.add_argument(
        "--attend",
        type=Path,
        metavar="SOCKET",
        help="start no agent: have yours, which is started if need be, serve a mount",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve."""
    if args.attend is not None:
        return _attend(args)
    from commonhold.agent.main import Config, run
    from commonhold.host.repository import SYSTEM_TENDER

    state = state_of(choose(args).path.absolute())
    run(Config(state, agent_socket(state), args.idle or None, SYSTEM_TENDER), os.environ)
    return 0


def _attend(args: argparse.Namespace) -> int:
    """Have the caller's agent serve a mount."""
    from commonhold.calls import Open
    from commonhold.cli.reaching import attending
    from commonhold.host import sockets

    path = choose(args).path
    node = listens(path)
    if node is None:
        raise HoldError("attend", Kind.UNREACHABLE, str(path), "no node serves it", hint="hold up")
    with socket.socket(socket.AF_UNIX) as mount, os_errors("attend", str(args.attend)):
        sockets.connect(mount, args.attend)
        with closing(attending(state_of(path), node)) as own:
            own.mounts.attend(Open(mount.fileno(), str(args.attend)))
    return 0
