"""What the running kernel asks while `fusecalls` works on a mount. Needs root and /dev/fuse.

python -m tests.system.fusecapture > vectors/fuse-requests.json
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commonhold.formats import fuse
from commonhold.formats.fusebodies import Init
from commonhold.formats.fuseflags import Opcode
from commonhold.formats.fusereaders import HEADER
from tests.fusevectors import described, refused
from tests.system.fusemount import Served, mounted
from tests.system.fusetree import PLAIN, WANTED

PARTS_SECONDS = 60
# What an earlier kernel does not have; the running one then does without.
OLD = frozenset((Opcode.CREATE, Opcode.TMPFILE, Opcode.STATX, Opcode.COPY_FILE_RANGE_64))
_EACH = 3  # cases an opcode
_LONGEST = 400
_PID = 4242


def run(below: Path, flags: int, unknown: frozenset[int], *without: str) -> tuple[Served, list[str]]:
    """Mount, make the calls, unmount; what was served and the names of the parts, all of which went well."""
    with mounted(below / "mounted", flags, unknown) as served:
        words = [sys.executable, "-m", "tests.system.fusecalls", str(below / "mounted"), *without]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PARTS_SECONDS)
    assert not served.trouble, served.trouble
    assert done.returncode == 0, (done.stdout, done.stderr)
    return served, done.stdout.split()


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


def cases(newer: Served, older: Served) -> Iterator[dict[str, Any]]:
    """A few of each kind: all that is special, what the second mount has and the first has not."""
    count: Counter[int] = Counter()
    for raw, request in newer.seen:
        opcode = request.opcode if request else 0
        special = request and (any(request.extensions) or request.resent)
        if len(raw) <= _LONGEST and (count[opcode] < _EACH or special):
            count[opcode] += 1
            yield _case(raw)
    for raw, request in older.seen:
        opcode = request.opcode if request else 0
        if len(raw) <= _LONGEST and (count[opcode] == 0 or opcode == Opcode.SETXATTR):
            count[opcode] += 1
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
