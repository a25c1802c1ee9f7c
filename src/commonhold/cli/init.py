"""Make a repository: at --repo or $HOLD_REPO, else `.hold` in the home directory, or here with --here."""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `init`."""
    parser.add_argument("--here", action="store_true", help="make it in the working directory, as .hold")


def run(args: argparse.Namespace, out: Output) -> int:
    """Make it."""
    from commonhold.blockstore.store import create
    from commonhold.host.repository import MARKER, NAME

    named = args.repo or os.environ.get("HOLD_REPO")
    if args.here:
        path = Path.cwd() / NAME
    elif named:
        path = Path(named)
    elif os.environ.get("HOME"):
        path = Path(os.environ["HOME"]) / NAME
    else:
        raise HoldError("init", Kind.USAGE, "", "no --repo, and $HOME is not set")
    if (path / MARKER).exists():
        raise HoldError("init", Kind.EXISTS, str(path), "there is a repository already")
    if path.is_dir() and any(path.iterdir()):
        raise HoldError("init", Kind.EXISTS, str(path), "the directory is not empty")
    create(path)
    out.result({"repository": str(path)}, f"made a repository at {path}")
    return 0
