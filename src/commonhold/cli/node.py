"""Run a node in the foreground: it keeps and moves blocks for the users of this host, and can read nothing."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.opening import choose
from commonhold.cli.output import Output

if TYPE_CHECKING:
    from commonhold.node.config import Config

EXAMPLES = """examples:
  hold node
  hold node --config /etc/commonhold/node.toml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `node`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="its config, in TOML; without one it serves the repository to its owner alone",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve."""
    from commonhold.node import main

    main.run(_config(args), os.environ)
    return 0


def _config(args: argparse.Namespace) -> "Config":
    from commonhold.host.repository import node_socket, require
    from commonhold.node.config import Config, read

    if args.config is not None:
        return read(args.config)
    path = choose(args).path.absolute()
    require(path)
    return Config(path, node_socket(path))
