"""The FUSE codec against the running kernel: its requests are understood, and its callers get what the replies say."""

import os
from pathlib import Path

import pytest

from commonhold.formats.fuse import Request
from commonhold.formats.fusebodies import Init
from commonhold.formats.fuseflags import InitFlag, Opcode
from tests.system.fusecapture import OLD, run
from tests.system.fusemount import mounted
from tests.system.fusetree import PLAIN, WANTED

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(autouse=True)
def device() -> None:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs root and /dev/fuse")


def protocol(where: Path) -> tuple[int, int]:
    """The kernel's minor version and the flags it offers."""
    with mounted(where, PLAIN) as served:
        os.stat(where)
    first = served.seen[0][1]
    assert first is not None and isinstance(first.body, Init) and first.body.major == 7
    return first.body.minor, first.body.flags


def missing(where: Path) -> list[str]:
    """Parts that an earlier kernel cannot do."""
    minor, offered = protocol(where)
    notices = offered & InitFlag.HAS_RESEND and minor >= 45
    return [] if notices else ["later_notifications"]


def requests(seen: list[tuple[bytes, Request | None]]) -> list[Request]:
    return [request for _, request in seen if request is not None]


def test_every_request_of_the_kernel_is_understood_and_every_call_gets_its_answer(tmp_path: Path) -> None:
    without = missing(tmp_path / "first")
    served, parts = run(tmp_path, WANTED, frozenset(), *without)
    assert len(parts) >= 17
    assert [(bad.opcode, bad.errno) for bad in served.refused] == [(Opcode.LOOKUP, 36)]  # the name of 300 bytes
    found = requests(served.seen)
    assert all(isinstance(request.opcode, Opcode) for request in found)
    assert {request.opcode for request in found} >= {
        Opcode.INIT, Opcode.CREATE, Opcode.SETLKW, Opcode.INTERRUPT, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.FORGET,
    }  # fmt: skip
    assert served.tree.retrieved == b"NEWS"
    if not without:
        assert served.tree.resent == 1
        assert [request.extensions.groups for request in found if any(request.extensions)] == [(5000,)]


def test_a_connection_that_agreed_on_little_works_too(tmp_path: Path) -> None:
    without = missing(tmp_path / "first")
    served, _ = run(tmp_path, PLAIN, OLD, *without)
    assert {request.opcode for request in requests(served.seen)} >= {Opcode.MKNOD, Opcode.COPY_FILE_RANGE}


def test_nothing_stays_mounted(tmp_path: Path) -> None:
    with pytest.raises(KeyError), mounted(tmp_path / "mounted", WANTED):
        assert str(tmp_path) in Path("/proc/self/mountinfo").read_text()
        raise KeyError
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
