"""Mount the public namespace and every user's own tree, for all users of this host. Runs in the foreground, as root."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output

if TYPE_CHECKING:
    from commonhold.mount.config import Config

EXAMPLES = """examples:
  hold mount
  hold mount --config /etc/commonhold/mount.toml
  hold mount --at /srv/hold"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `mount`."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="its config, in TOML")
    parser.add_argument("--at", metavar="DIR", type=Path, help="where, in place of what the config says")


def run(args: argparse.Namespace, out: Output) -> int:
    """Mount, and serve until told to stop."""
    from commonhold.mount import main

    main.run(_config(args), os.environ)
    return 0


def _config(args: argparse.Namespace) -> "Config":
    from commonhold.mount.config import SYSTEM_CONFIG, Config, read

    if args.config is not None:
        config = read(args.config)
    else:
        config = read(SYSTEM_CONFIG) if SYSTEM_CONFIG.exists() else Config()
    if args.repo is not None:
        config = replace(config, node=Path(args.repo).absolute())
    return config if args.at is None else replace(config, at=args.at.absolute(), shown=())
