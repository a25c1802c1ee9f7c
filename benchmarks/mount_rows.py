"""Rows 14 to 21: the mount, beside `hold`, ext4 and a C FUSE server. Root only."""

import mount_byte_rows
import mount_name_rows
from mounted import mounted
from report import Line
from stage import Stage


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    with mounted(stage) as one:
        return mount_byte_rows.measure(stage, rows, one) + mount_name_rows.measure(stage, rows, one)
