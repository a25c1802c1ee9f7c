"""Any steps by any users in any order, and the shortest of them that does not come out the same."""

import itertools
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.system.posix.differing import Case, Cast, differs

_PATHS = ["a", "b", "l", "d", "d/a", "d/b", "d/e", "d/e/a", "l/a", "..", "d/.."]
_SLOTS = {
    "{path}": _PATHS,
    "{other}": _PATHS,
    "{handle}": ["h", "k"],
    "{mode}": ["0644", "0600", "0755", "0777", "0000", "6755", "4711", "2770", "1777", "2654", "0070"],
    "{whose}": ["alice -", "bob -", "- staff", "- crew", "- others", "carol crew", "root root"],
    "{offset}": ["0", "1", "4095", "4096", "10000"],
    "{length}": ["1", "5", "4096", "6000"],
    "{size}": ["0", "3", "4096", "5000", "20000"],
    "{time}": ["NOW", "OMIT", "1", "-5.5", "1600000000.123456789"],
    "{flags}": ["RDONLY", "WRONLY", "RDWR", "RDWR|CREAT", "WRONLY|TRUNC", "RDWR|APPEND", "RDWR|CREAT|EXCL",
                "RDONLY|DIRECTORY", "RDONLY|NOFOLLOW", "PATH"],
    "{allocate}": ["ALL", "KEEP", "PUNCH|KEEP", "ZERO", "ZERO|KEEP"],
    "{rename}": ["", "NOREPLACE", "EXCHANGE"],
    "{xattr}": ["", "CREATE", "REPLACE"],
    "{name}": ["user.a", "user.b", "trusted.a"],
    "{kind}": ["access", "default"],
    "{list}": ["u::rwx,u:bob:rw-,g::r-x,m::rwx,o::---", "u::rw-,g::r--,o::r--",
               "u::rwx,g::---,g:others:r-x,m::r-x,o::r-x"],
    "{mask}": ["000", "022", "077"],
}  # fmt: skip
_ANYBODYS = [
    "create {path} {mode}", "put {path} text", "put {path} more WRONLY|APPEND", "get {path}", "mkdir {path} {mode}",
    "mkdir {path}", "rmdir {path}", "unlink {path}", "link {path} {other}", "symlink {path} {other}", "readlink {path}",
    "rename {path} {other} {rename}", "rename {path} {other} {rename}", "mknod {path} socket {mode}", "bind {path}",
    "list {path}", "chmod {path} {mode}", "chown {path} {whose}", "lchown {path} {whose}", "touch {path}",
    "times {path} {time} {time}", "access {path} RW", "access {path} X effective", "setx {path} {name} v {xattr}",
    "acl {path} {kind} {list}", "noacl {path} {kind}", "acl d default {list}", "removex {path} {name}",
    "listx {path}", "open {handle} {path} {flags}", "open {handle} {path} {flags}",
    "open {handle} {path} RDWR|TMPFILE", "name {handle} {path}", "reopen {handle} h {flags}", "close {handle}",
    "write {handle} words", "pwrite {handle} {offset} there", "fill {handle} {offset} {length}",
    "pread {handle} {offset} {length}", "seek {handle} 0 CUR", "ftruncate {handle} {size}", "fchmod {handle} {mode}",
    "fchown {handle} {whose}", "fstat {handle}", "sync {handle}", "umask {mask}",
    "map {handle} 20000 SHARED {offset} zz",
]  # fmt: skip
_USERS = ["copy h {offset} k {offset} {length}", "allocate {handle} {allocate} {offset} {length}"]  # see `differences`


@st.composite
def _steps(draw: st.DrawFn) -> str:
    who = draw(st.sampled_from(["alice", "bob", "carol", "root"]))
    step = draw(st.sampled_from(_ANYBODYS if who == "root" else _ANYBODYS + _USERS))
    for slot, words in _SLOTS.items():
        while slot in step:
            step = step.replace(slot, draw(st.sampled_from(words)), 1)
    return f"{who}: {step}"


def search(tried: Path, right: Path, cast: Cast, start: int, count: int) -> None:
    """Try so many scripts in two places. AssertionError with the shortest that comes out otherwise."""
    number = itertools.count()

    @seed(start)
    @settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.lists(_steps(), min_size=10, max_size=40))
    def same(steps: list[str]) -> None:
        script = "; ".join(["mkdir d 0777", "chmod . 0777", "chmod d 0777", *steps])
        name = f"{start}-{next(number)}"
        difference = differs(tried / name, right / name, Case("at random", script), cast, tidy=True)
        assert difference is None, str(difference)

    same()
