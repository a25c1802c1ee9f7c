"""Rows 14 to 21: the mount, beside `hold`, ext4 and a C FUSE server; and the memory of who serves it. Root only."""

import mount_byte_rows
import mount_name_rows
from mounted import Mounted, mounted
from report import Line
from stage import Stage

_MOST = {"worker": 100, "agent": 400}  # MiB


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    with mounted(stage) as one:
        before = one.memory()
        lines = mount_byte_rows.measure(stage, rows, one) + mount_name_rows.measure(stage, rows, one)
        return lines + (_memory_lines(before, one) if 21 in rows else [])


def _memory_lines(before: dict[str, int], one: Mounted) -> list[Line]:
    """What who serves needs at the end, caches and all."""
    lines = []
    for name, size in one.memory().items():
        beside, most = f"at the start: {before[name] >> 20} MiB", _MOST[name]
        what = f"memory of the mount's {name} after all rows asked for"
        lines.append(Line(21, what, f"{size >> 20} MiB", beside, "", f"≤ {most} MiB", met=size <= most << 20))
    return lines
