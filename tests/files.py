"""The files of a directory that a daemon is at work on."""

import os
from pathlib import Path


def files(directory: Path) -> list[Path]:
    """All files below a directory. `Path.rglob` fails where a directory goes meanwhile."""
    return [Path(place, name) for place, _, names in os.walk(directory) for name in names]
