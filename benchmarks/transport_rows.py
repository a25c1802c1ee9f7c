"""Rows 23, 24: what goes through a pinned connection beside bare `ssl` sockets, and how soon one is made."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from measuring import Failed, Sample
from report import Line, Work, compared, gigabytes, rated
from stage import Stage, in_turn

ROWS = frozenset({23, 24})

_HERE = Path(__file__).resolve().parent
_SIZE = 512 << 20
_CONNECTIONS = 400


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    size = min(_SIZE, stage.scale.quarter_size)
    count = _CONNECTIONS if stage.scale.name == "full" else _CONNECTIONS // 10
    with _server(stage) as (ours, bare):
        for number in range(stage.runs):
            if 23 in rows:
                for what, port in in_turn([("upload", ours), ("bare", bare)], number):
                    _work(stage, what, port, size)
            if 24 in rows:
                for what in in_turn(["connect", "together"], number):
                    _work(stage, what, ours, count)
    found = {what: stage.ledger.seconds(what) for what in ("upload", "bare", "connect", "together")}
    lines = []
    if 23 in rows:
        what = f"upload of {size >> 20} MiB, both ends pinned"
        lines.append(compared(23, what, found["upload"], "bare ssl sockets", found["bare"], gigabytes(size), 0.7))
    if 24 in rows:
        made = Work(count, "connections")
        lines.append(rated(24, "key, connection and call, one after another", found["connect"], made, 250))
        lines.append(rated(24, "the same, eight at once", found["together"], made, 370))
    return lines


@contextlib.contextmanager
def _server(stage: Stage) -> Iterator[tuple[int, int]]:
    """A process that serves; its two ports."""
    server = subprocess.Popen(_command(stage, "serve"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        ports = server.stdout.readline().split()
        if len(ports) != 2:
            raise Failed("the server of pinned connections did not start")
        yield int(ports[0]), int(ports[1])
    finally:
        server.terminate()
        server.wait()


def _work(stage: Stage, what: str, port: int, amount: int) -> None:
    """One piece of work; the seconds are those that it says, without the start of its process."""
    whole = stage.prepare([*_command(stage, what), str(port), str(amount)])
    stage.note(what, Sample(float(stage.last_line()), whole.cpu, whole.peak))


def _command(stage: Stage, what: str) -> list[str]:
    python = Path(stage.version()[0]).with_name("python")
    return [str(python), str(_HERE / "pinned.py"), what]
