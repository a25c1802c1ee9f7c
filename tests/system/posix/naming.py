"""Cases: making, linking and removing; names and paths of every kind; sticky directories; renaming."""

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote_from_bytes

from tests.system.posix.differing import Case, written
from tests.system.posix.opening import THINGS
from tests.system.posix.words import EMPTY

_ODD = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
_WORDS = [
    "create", "mkdir", "mknod {} pipe", "bind", "symlink to", "unlink", "rmdir", "readlink", "get", "can {} RDONLY",
    "stat", "chmod {} 0700", "truncate {} 3", "times {} 1 1", "listx", "setx {} user.a b", "access {} R", "list",
    "rename {} other", "rename good {}", "link {} other", "link good {}", "rename {} {}", "link {} {}", "statfs",
    "lchown {} - crew", "chown {} - crew", "touch", "times {} 1 1 nofollow",
]  # fmt: skip
_PATHS = [
    "n" * 255, "n" * 256, ".", "..", "./.", EMPTY, "/".join(["."] * 2040) + "/f1", "/".join(["."] * 2047) + "/f1",
    "f/under", "loop/x", "d/../f", "d/missing/x", "closed/f", "d/../../x", "link/f", "link/.", "link/..", "far/x",
]  # fmt: skip
_RENAMES = ["", "NOREPLACE", "EXCHANGE", "NOREPLACE|EXCHANGE"]


def _asked(word: str, path: str) -> str:
    return word.format(*[path] * word.count("{}")) if "{}" in word else f"{word} {path}"


def cases() -> Iterator[Case]:
    """See the module."""
    for (thing, made), word in product(THINGS.items(), _WORDS):
        yield Case(f"{word}: {thing}", f"put good x; {made}; {_asked(word, 'n')}")
        yield Case(f"{word}: {thing} and a slash", f"put good x; {made}; {_asked(word, 'n/')}")
    yield from _paths()
    for begin in range(0, len(_ODD), 64):
        names = [quote_from_bytes(byte + b"x", safe="") for byte in _ODD[begin : begin + 64]]
        yield Case(f"names with odd bytes from {begin}", "; ".join(f"create {name}" for name in names) + "; list .")
    yield from _lengths()
    for (old, made), (new, over), flags in product(THINGS.items(), THINGS.items(), _RENAMES):
        setting = f"{made.replace(' n', ' o').replace('to', 'toward')}; {over}".strip("; ")
        yield Case(f"rename {old} over {new} {flags}", f"{setting}; rename o n {flags}; list .")
    for flags in _RENAMES:
        yield from _moves(flags)
    yield from _sticky()
    yield from written(_LINKED)


def _paths() -> Iterator[Case]:
    setting = "put good x; put f x; mkdir d; mkdir closed; create closed/f; symlink loop loop; symlink d link"
    for word, path in product(_WORDS, _PATHS):
        shown = path if len(path) < 20 else f"{path[:3]}… of {len(path)} bytes"
        yield Case(f"{word}: {shown}", f"{setting}; chmod closed 0600; {_asked(word, path)}; chmod closed 0700")


def _lengths() -> Iterator[Case]:
    for length in (1, 59, 60, 61, 255, 1000, 4000, 4094, 4095, 4096, 5000):
        yield Case(f"a link to {length} bytes", f"symlink {'x' * length} l; readlink l; list .; unlink l")
    for depth in (1, 8, 39, 40, 41):
        links = "; ".join(f"symlink l{number} l{number + 1}" for number in range(depth))
        yield Case(f"{depth} links after one another", f"put l0 x; {links}; get l{depth}; readlink l{depth}")
    for length in (254, 255, 256):
        name = "n" * length
        script = f"create {name}; mkdir d; rename {name} d/{name}; link d/{name} {name}; unlink {name}; list d"
        yield Case(f"a name of {length} bytes", f"{script}; symlink x {name}; mkdir {name}; mknod {name} pipe; bind s")


def _moves(flags: str) -> Iterator[Case]:
    for title, script in written(_MOVES):
        yield Case(f"rename {title} {flags}", script.format(*[flags] * script.count("{}")))


def _sticky() -> Iterator[Case]:
    """Whose the directory is, whose the thing is, and who wants it away."""
    for mode, owner, thing, who in product(["1777", "0777", "1770"], ["alice", "root"], ["bob", "root", "alice"],
                                           ["alice", "bob", "carol", "root"]):  # fmt: skip
        made = f"root: mkdir s; root: chown s {owner} crew; root: chmod s {mode}; root: put s/f 1; root: mkdir s/d"
        owned = (
            f"root: put s/g 2; root: chown s/f {thing} crew; root: chown s/d {thing} crew; root: chown s/g {who} crew"
        )
        tries = ["rename s/f s/f2", "rename s/g s/f", "rename s/d s/e", "rename s/g s/f EXCHANGE", "link s/f s/l",
                 "rmdir s/d", "unlink s/f", "rename s/f out", "create s/mine", "unlink s/mine"]  # fmt: skip
        asked = "; ".join(f"{who}: {one}" for one in tries)
        yield Case(f"{who} in a {mode} directory of {owner}'s with things of {thing}'s", f"{made}; {owned}; {asked}")


_LINKED = """
names of one file
    put a x; link a b; link b c; stat a; unlink a; stat b; put b more; get c; chmod c 0600; unlink b; unlink c
a name for a link
    put a x; symlink a l; link l k; readlink k; link l m follow; get m
a name for a directory
    mkdir d; link d e; root: link d e
a name where one may not write
    put a x; mkdir d; chmod d 0555; link a d/a; bob: link a b
a name for another's file
    chmod . 0777; put a x; chmod a 0644; bob: link a b; chmod a 0666; bob: link a c; root: link a d; chmod a 4777;
    bob: link a e; carol: link a f
a directory is removed when it is empty
    mkdir d; create d/f; rmdir d; unlink d; unlink d/f; rmdir d; rmdir d
directories have links
    mkdir d; mkdir d/a; mkdir d/b; stat d; create d/f; rmdir d/a; stat d; rename d/b b; stat d
dots are not removed
    mkdir d; rmdir d/.; rmdir d/..; unlink d/.; mkdir d/e; rmdir d/e/..; rmdir .
others' directories
    mkdir d 0755; create d/f; bob: unlink d/f; bob: create d/g; bob: rmdir d; bob: rename d e; chmod d 0777;
    bob: unlink d/f; bob: create d/g; unlink d/g; chmod d 0000; stat d/g; list d; rmdir d
devices
    mknod n char 0644 0x103; mknod n block 0644 0x103; root: mknod c char 0644 0x103; root: mknod b block 0600 0x801;
    root: mknod f file 0600; root: mknod d directory; can c RDONLY; root: can c RDONLY; mknod g file;
    bob: mknod h pipe; root: mknod z char 0600 0; root: mknod big char 0600 0xfff12345
a socket is found
    bind s; stat s; unlink s; bind s; bind s; get s; rename s t; list .
links have their own owners
    symlink x l; lchown l - crew; root: lchown l bob staff; root: chown l bob staff; bob: unlink l;
    times l 5 6 nofollow; root: times l 5 6 nofollow; times l 5 6
"""


_MOVES = """
into itself
    mkdir d; rename d d/x {}
into what is in it
    mkdir d; mkdir d/e; mkdir d/e/f; rename d d/e/f/x {}
over what it is in
    mkdir d; mkdir d/e; rename d/e d {}
over what is above that
    mkdir d; mkdir d/e; mkdir d/e/f; rename d/e/f d {}
a directory elsewhere
    mkdir a; mkdir b; mkdir a/d; create a/d/f; rename a/d b/d {}; list a; list b; rmdir a
a directory over an empty one elsewhere
    mkdir a; mkdir b; mkdir a/d; mkdir b/d; rename a/d b/d {}
a file over one elsewhere
    mkdir a; mkdir b; put a/f 1; put b/f 2; rename a/f b/f {}; get b/f
onto itself
    put f x; rename f f {}; mkdir d; rename d d {}
onto another name of the same
    put f x; link f g; rename f g {}; stat f; stat g
a directory and a file elsewhere
    mkdir a; mkdir b; mkdir a/x; put b/x 1; rename a/x b/x {}; list a; list b
dots
    mkdir d; rename d/. e {}; rename d d/.. {}; rename . e {}; rename d/.. e {}; rename e . {}
from a directory that one may not write to
    mkdir d; put d/f 1; chmod d 0555; rename d/f g {}; rename d e {}
into a directory that one may not write to
    mkdir d; put f 1; chmod d 0555; rename f d/g {}
a directory that one may not write to, elsewhere
    mkdir d; mkdir e; chmod d 0555; rename d e/d {}; rename e d {}
another's
    mkdir d; chmod d 0777; root: mkdir d/r; root: put d/f 1; rename d/r d/s {}; rename d/f g {}
another's directory elsewhere
    mkdir d; mkdir e; chmod d 0777; root: mkdir d/r; rename d/r e/r {}
"""
