"""Print the version."""

import argparse

from commonhold import __version__
from commonhold.cli.output import Output


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `version`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Print it."""
    out.result({"version": __version__}, f"hold {__version__}")
    return 0
