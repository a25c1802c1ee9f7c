"""Run a node in the foreground: it keeps and moves blocks for the users of this host, and can read nothing."""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `node`."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="its config, in TOML")


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve."""
    from commonhold.node import config, main

    main.run(config.read(args.config), os.environ)
    return 0
