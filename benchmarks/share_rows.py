"""Row 22: a pack becomes shares, coded, sealed and hashed, in memory; and comes back. Beside zfec and hashing."""

from collections.abc import Sequence
from pathlib import Path

from measuring import Failed, Sample
from report import Line, Work, compared, gigabytes, rated
from share_work import PACK
from stage import Stage, in_turn

ROWS = frozenset({22})

_WIDE = (3, 10)
_USUAL = (3, 5)
_MANY = 4
_WORKS = ("code", "zfec", "seal", "seal-hash", "hash", "restore-plain", "restore", "zfec-restore")
_OF_ZFEC = frozenset({"zfec", "zfec-restore"})


def measure(stage: Stage) -> list[Line]:
    """Measure each kind of work in one thread and in four; the lines of the table."""
    times = max(1, stage.scale.quarter_size // PACK)
    without = frozenset() if _has_zfec(stage) else _OF_ZFEC
    for number in range(stage.runs):
        for shape in (_WIDE, _USUAL):
            for threads in (1, _MANY):
                for work in in_turn([one for one in _WORKS if one not in without], number):
                    _run(stage, work, shape, threads, times)
    return [
        line
        for shape in (_WIDE, _USUAL)
        for threads in (1, _MANY)
        for line in _lines(stage, shape, threads, gigabytes(PACK * times * threads))
    ]


def _python(stage: Stage) -> str:
    return str(Path(stage.version()[0]).with_name("python"))


def _has_zfec(stage: Stage) -> bool:
    try:
        stage.prepare([_python(stage), "-c", "import zfec"])
    except Failed:
        return False
    return True


def _named(work: str, shape: tuple[int, int], threads: int) -> str:
    return f"shares, {shape[0]}-of-{shape[1]}, {threads} threads, {work}"


def _run(stage: Stage, work: str, shape: tuple[int, int], threads: int, times: int) -> None:
    """Run it as a process, which says how long the work alone took."""
    script = str(Path(__file__).with_name("share_work.py"))
    words = (str(number) for number in (*shape, threads, times))
    whole = stage.prepare([_python(stage), script, work, *words])
    stage.note(_named(work, shape, threads), Sample(float(stage.last_line()), whole.cpu, whole.peak))


def _lines(stage: Stage, shape: tuple[int, int], threads: int, work: Work) -> list[Line]:
    def seconds(name: str) -> Sequence[float]:
        return stage.ledger.seconds(_named(name, shape, threads))

    def line(what: str, ours: str, name: str, theirs: str, at_least: float | None = None) -> Line:
        """Of one thread there are targets: more of them also wait for the interpreter's lock."""
        said = f"{what}, {shape[0]}-of-{shape[1]}, {threads} thread{'s' * (threads > 1)}"
        return compared(22, said, seconds(ours), name, seconds(theirs), work, at_least if threads == 1 else None)

    hashing = "sha256 of as many bytes as the shares"
    lines = [
        line("code", "code", "zfec", "zfec", 20),
        line("code, seal", "seal", hashing, "hash"),
        line("code, seal, hash each share", "seal-hash", "zfec, code alone", "zfec"),
        line("code, seal, hash each share", "seal-hash", hashing, "hash", 0.7),
        line("restore from what is the pack itself", "restore-plain", "zfec, from others", "zfec-restore"),
        line("restore from others", "restore", "zfec, from others", "zfec-restore", 2),
    ]
    if (shape, threads) == (_WIDE, _MANY):
        what = "code, seal, hash each share: the rate, 3-of-10, 4 threads"
        lines.append(rated(22, what, seconds("seal-hash"), work, 1.2))
    return lines
