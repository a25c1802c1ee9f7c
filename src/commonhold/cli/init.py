"""Make a repository: at --repo or $HOLD_REPO, else `.hold` in the home directory, or here with --here."""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors

EXAMPLES = """examples:
  hold init
  hold init --here
  hold --repo /srv/hold init"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `init`."""
    parser.add_argument(
        "--here", action="store_true", help="make it in the working directory, as .hold, whatever $HOLD_REPO says"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Make it."""
    from commonhold.blockstore.store import create

    path = _place(args)
    create(path)
    out.result({"repository": str(path)}, f"made a repository at {path}")
    return 0


def _place(args: argparse.Namespace) -> Path:
    """Where to make it."""
    from commonhold.host.repository import NAME, named

    if args.here:
        if args.repo is not None:
            raise HoldError("init", Kind.USAGE, "--here", "and --repo name two places", hint="leave one out")
        with os_errors("init", "working directory"):
            return Path.cwd() / NAME
    chosen = named(args.repo, os.environ.get("HOLD_REPO"))
    if chosen is not None:
        return chosen.path
    if not os.environ.get("HOME"):
        raise HoldError("init", Kind.USAGE, "", "no --repo, and $HOME is not set", hint="hold --repo DIR init")
    return Path(os.environ["HOME"]) / NAME
