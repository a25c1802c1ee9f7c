"""What the running kernel asks while `fusecalls` works on a mount. Needs root and /dev/fuse.

python -m tests.system.fusecapture > vectors/fuse-requests.json
"""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commonhold.formats import fuse
from commonhold.formats.fuse import Request
from commonhold.formats.fusebodies import Init
from commonhold.formats.fuseflags import Opcode
from commonhold.formats.fusereaders import HEADER
from tests.fusevectors import described, refused
from tests.system.fusemount import Served, mounted
from tests.system.fusetree import PLAIN, WANTED
from tests.waiting import SECONDS

# What an earlier kernel does not have; the running one then does without.
OLD = frozenset((Opcode.CREATE, Opcode.TMPFILE, Opcode.STATX, Opcode.COPY_FILE_RANGE_64))
_EACH = 2
_FLAGS = ("valid", "getattr_flags", "read_flags", "write_flags", "fsync_flags", "release_flags", "lk_flags")
_LONGEST = 400
_PID = 4242


def run(below: Path, flags: int, unknown: frozenset[int], *without: str) -> tuple[Served, list[str]]:
    """Mount, make the calls, unmount; what was served and the names of the parts, all of which went well."""
    with mounted(below / "mounted", flags, unknown) as served:
        words = [sys.executable, "-m", "tests.system.fusecalls", str(below / "mounted"), *without]
        code, said, complaint = _calls(words)
    assert not served.trouble, served.trouble
    assert code == 0, (said, complaint)
    return served, said.split()


def _calls(words: list[str]) -> tuple[int, str, str]:
    """Run a program until it and its children have ended, or end them; its exit code and what it said."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            said, complaint = running.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            raise
    return running.returncode, said, complaint


def _anonymous(raw: bytes) -> bytes:
    """The request with another process id."""
    opcode = struct.unpack_from("<I", raw, 4)[0]
    changed = bytearray(raw)
    places = [32, HEADER + 36] if opcode in (Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW) else [32]
    for place in places:
        if struct.unpack_from("<I", raw, place)[0]:
            struct.pack_into("<I", changed, place, _PID)
    return bytes(changed)


def _case(raw: bytes) -> dict[str, Any]:
    raw = _anonymous(raw)
    try:
        says = {"request": described(fuse.parse(raw))}
    except fuse.BadRequest as bad:
        says = {"refused": refused(bad)}
    return {"hex": raw.hex(), **says}


def _kind(request: Request | None) -> tuple[object, ...]:
    """What makes a request worth a case of its own: its opcode, and which flags it has."""
    if request is None:
        return ("refused",)
    flags = [getattr(request.body, name, 0) for name in _FLAGS]
    return request.opcode, request.resent, any(request.extensions), *flags


def cases(newer: Served, older: Served) -> Iterator[dict[str, Any]]:
    """A few of each kind; of the second mount, what looks different there."""
    count: Counter[tuple[object, ...]] = Counter()
    seen = set()
    for raw, request in newer.seen:
        kind = _kind(request)
        if len(raw) <= _LONGEST and count[kind] < _EACH:
            count[kind] += 1
            seen.add(kind[0])
            yield _case(raw)
    for raw, request in older.seen:
        kind = _kind(request)
        if len(raw) <= _LONGEST and (kind[0] not in seen or kind[0] == Opcode.SETXATTR):
            seen.add(kind[0])
            yield _case(raw)


def main() -> None:
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as below:
        newer, _ = run(Path(below), WANTED, frozenset())
        older, _ = run(Path(below), PLAIN, OLD)
    first = newer.seen[0][1]
    assert first is not None and isinstance(first.body, Init)
    system = ".".join(os.uname().release.split(".")[:2])
    source = f"Linux {system} on {os.uname().machine}, protocol 7.{first.body.minor}: tests/system/fusecapture.py"
    lines = ",\n  ".join(json.dumps(case, ensure_ascii=True) for case in cases(newer, older))
    sys.stdout.write(f'{{"source": {json.dumps(source)},\n "cases": [\n  {lines}\n ]}}\n')


if __name__ == "__main__":
    main()
