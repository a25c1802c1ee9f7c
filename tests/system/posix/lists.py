"""Cases: access control lists, what they let whom do, and what becomes of them."""

from collections.abc import Iterator
from itertools import product

from tests.system.posix.differing import Case, written

_FOUR = ["alice", "bob", "carol", "root"]
_LISTS = [
    "u::rw-,g::r--,o::---", "u::rw-,u:bob:r--,g::---,m::r--,o::---", "u::rwx,u:carol:rwx,g::r-x,m::r--,o::r--",
    "u::r--,u:bob:---,g::rw-,m::rwx,o::rw-", "u::rw-,g::rw-,g:others:rw-,m::rw-,o::---", "u::---,g::rwx,m::---,o::rwx",
    "u::rw-,u:bob:rw-,u:carol:-w-,g::---,g:crew:r--,g:others:r--,m::rwx,o::--x",
    "u::rwx,u:root:---,g::---,m::---,o::---",
]  # fmt: skip
_WRONG = [
    "", "u::rw-", "u::rw-,g::r--", "u::rw-,u:bob:r--,g::r--,o::---", "g::r--,u::rw-,o::---",
    "u::rw-,u::r--,g::r--,o::---",
    "u::rw-,g::r--,o::---,m::rwx", "u::rw-,g::r--,o::---,o::rw-", "u::rw-,g::r--,m::r--,m::r--,o::---",
]  # fmt: skip
_MODES = ["0644", "0600", "0070", "2770", "6755", "0000"]


def cases() -> Iterator[Case]:
    """See the module."""
    for kind, given, mode in product(["f", "d"], _LISTS, _MODES):
        setting = f"put f text; mkdir d; acl {kind} access {given}; stat {kind}"
        yield Case(f"{given} for {kind}, and then {mode}", f"{setting}; chmod {kind} {mode}; {_tries(kind)}")
    for given, mode, mask in product(_LISTS, ["0666", "0777", "0640", "2755"], ["000", "027"]):
        made = (
            f"create d/f {mode}; mkdir d/e {mode}; mknod d/p pipe {mode}; symlink x d/l; bind d/s; create d/e/g {mode}"
        )
        more = f"bob: create d/b {mode}; open h d RDWR|TMPFILE {mode}; fstat h; name h d/n"
        script = f"mkdir d; chmod d 0777; acl d default {given}; umask {mask}; {made}; {more}; umask 022"
        yield Case(f"{given} as a default, {mode} and the mask {mask}", script)
    for given in _WRONG:
        yield Case(f"{given or 'nothing'} is no list", f"put f x; mkdir d; acl f access {given}; acl d default {given}")
    for who, kind in product(_FOUR, ["access", "default"]):
        script = (
            f"mkdir d; chmod d 2777; root: chown d alice crew; {who}: acl d {kind} {_LISTS[1]}; {who}: noacl d {kind}"
        )
        yield Case(f"{who} sets and removes what is {kind}", script)
    yield from written(_WRITTEN)


def _tries(path: str) -> str:
    words = [f"access {path} {how}" for how in "RWX"] + [f"can {path} RDONLY"]
    words.append(f"put {path} x WRONLY" if path == "f" else f"create {path}/f")
    return "; ".join(f"{who}: {word}" for who, word in product(_FOUR, words))


_WRITTEN = """
lists go along, and end
    put f x; acl f access u::rw-,u:bob:rw-,g::r--,m::rw-,o::---; link f g; rename f h; truncate h 0;
    bob: put h more WRONLY; chown h - crew; acl h access u::rw-,g::r--,o::---; stat h; listx h; noacl h access;
    noacl h access; put i x;
    acl i access u::rw-,u:bob:rw-,g::r--,m::r--,o::---; stat i; noacl i access; stat i
defaults are of directories
    put f x; acl f default u::rw-,g::r--,o::---; noacl f default; mkdir d; acl d default u::rwx,g::r-x,o::---; listx d;
    mkdir d/e; rename d/e e; create e/f; noacl d default; create d/f; symlink d l; acl l default u::rwx,g::r-x,o::r-x
set-group-ID and lists
    put f x; root: chown f alice others; root: chmod f 2755; acl f access u::rwx,u:bob:r-x,g::r-x,m::r-x,o::r-x; stat f;
    root: chmod f 2755; root: acl f access u::rwx,u:bob:rwx,g::r-x,m::r-x,o::r-x; stat f
lists and set-ID bits when somebody writes
    put f x; acl f access u::rwx,u:bob:rwx,g::r-x,m::rwx,o::r-x; root: chmod f 6777; bob: put f more WRONLY; stat f
"""
