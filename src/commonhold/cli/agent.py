"""Run your agent in the foreground: it holds your keys, understands your files, and checks what the node hands out.

There is one for each user, and nobody else may call it. Commands that work through a node start one by themselves.
"""

import argparse
import os

from commonhold.cli.opening import agent_socket, choose, state_of
from commonhold.cli.output import Output
from commonhold.cli.values import natural

EXAMPLES = """examples:
  hold agent
  hold agent --idle 600"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `agent`."""
    parser.add_argument(
        "--idle", type=natural, metavar="SECONDS", help="end when nobody was connected for so long (default: never)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve."""
    from commonhold.agent.main import Config, run

    state = state_of(choose(args).path.absolute())
    run(Config(state, agent_socket(state), args.idle or None), os.environ)
    return 0
