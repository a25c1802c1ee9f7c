"""Say which repository this is, why that one, and what isolation it gives."""

import argparse
import os

from commonhold import __version__
from commonhold.cli.opening import choose
from commonhold.cli.output import Output

_ISOLATION = (
    "embedded: it is single user; whoever can read the repository's files can read all in it that is not sealed"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """No words after `status`."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it. Does not open the store, so it answers while another process has it."""
    choice = choose(args)
    row = {
        "version": __version__,
        "repository": str(choice.path),
        "chosen": choice.why,
        "passed_over": [{"path": str(path), "why": why} for path, why in choice.passed_over],
        "exists": os.path.exists(choice.path / "format.json"),
        "shape": "embedded",
        "isolation": _ISOLATION,
    }
    lines = [
        f"hold {__version__}",
        f"repository: {choice.path} ({choice.why})" + ("" if row["exists"] else ", not there yet"),
        *(f"passed over: {path}: {why}" for path, why in choice.passed_over),
        f"isolation:  {_ISOLATION}",
    ]
    out.result(row, "\n".join(lines))
    return 0
