"""Cases: opening and making files, the mask, and what an open file is good for."""

from collections.abc import Iterator
from itertools import product

from tests.system.posix.differing import Case, written

THINGS = {
    "nothing": "",
    "a file": "put n text",
    "an empty directory": "mkdir n",
    "a full directory": "mkdir n; create n/in",
    "a link to a file": "put to text; symlink to n",
    "a link to a directory": "mkdir to; symlink to n",
    "a link to nothing": "symlink to n",
    "a link to itself": "symlink n n",
    "a pipe": "mknod n pipe",
    "a socket": "bind n",
}
_FLAGS = [
    "RDONLY", "WRONLY", "RDWR", "RDONLY|TRUNC", "RDWR|TRUNC", "WRONLY|APPEND", "RDWR|CREAT", "RDWR|CREAT|TRUNC",
    "RDWR|CREAT|EXCL", "RDONLY|CREAT", "RDONLY|DIRECTORY", "RDONLY|CREAT|DIRECTORY", "RDWR|DIRECTORY",
    "RDONLY|NOFOLLOW", "RDWR|CREAT|NOFOLLOW", "RDONLY|DIRECTORY|NOFOLLOW", "PATH", "PATH|NOFOLLOW",
    "RDONLY|NOATIME", "RDWR|TMPFILE", "WRONLY|TMPFILE", "RDONLY|TMPFILE", "RDWR|TMPFILE|EXCL", "RDWR|DSYNC",
    "RDWR|SYNC",
]  # fmt: skip
_MODES = ["0000", "0200", "0400", "0600", "0640", "0604", "0444", "0222", "7777", "4711", "2755", "1666"]
_MASKS = ["000", "022", "027", "077", "0777", "0111"]
_FOUR = ["alice", "bob", "carol", "root"]


def cases() -> Iterator[Case]:
    """See the module."""
    for (thing, made), flags in product(THINGS.items(), _FLAGS):
        yield Case(f"open {thing} with {flags}", f"{made}; can n {flags}")
    for mode, mask in product(_MODES, _MASKS):
        yield Case(f"make with {mode} under the mask {mask}", _made(mode, mask))
    for mode, group in product(_MODES, ["alice staff", "bob crew", "root root", "alice crew"]):
        yield Case(f"open what is {mode} and of {group}", _opened_by_all(mode, group))
    for mode in ("0755", "2755", "2777", "1777", "3777"):
        yield Case(f"make things in a directory of mode {mode}", _in_directory(mode))
    yield from written(_WRITTEN)


def _made(mode: str, mask: str) -> str:
    return (
        f"umask {mask}; create file {mode}; mkdir directory {mode}; mknod pipe pipe {mode}; mknod node file {mode};"
        f"bind socket; symlink to link; open h . RDWR|TMPFILE {mode}; fstat h; name h named; umask 022"
    )


def _opened_by_all(mode: str, group: str) -> str:
    asked = "; ".join(f"{who}: can f {flags}" for who, flags in product(_FOUR, ["RDONLY", "WRONLY", "RDWR", "PATH"]))
    more = "; ".join(f"{who}: can f RDONLY|NOATIME; {who}: can f RDONLY|TRUNC" for who in _FOUR)
    return f"put f text; root: chown f {group}; root: chmod f {mode}; {asked}; {more}"


def _in_directory(mode: str) -> str:
    each = "; ".join(
        f"{who}: create d/{who}; {who}: mkdir d/{who}-d; {who}: symlink x d/{who}-l; {who}: mknod d/{who}-p pipe;"
        f"{who}: bind d/{who}-s; {who}: create d/{who}-g 2755; {who}: create d/{who}-x 2644;"
        f"{who}: mkdir d/{who}-e 2755;{who}: open h d RDWR|TMPFILE 2755; {who}: fstat h; {who}: link d/{who} d/{who}-2"
        for who in _FOUR
    )
    return f"mkdir d; root: chown d alice crew; root: chmod d {mode}; {each}"


_WRITTEN = """
an open file lives on without a name
    open h f RDWR|CREAT; write h text; unlink f; fstat h; write h more; pread h 0 20; create f; fstat h;
    ftruncate h 2; fchmod h 0600; fchown h - crew; pread h 0 20; sync h; reopen k h RDONLY; pread k 0 9; close h;
    pread k 0 9; bob: reopen j k RDONLY
a removed directory that is open holds nothing
    mkdir d; open h d RDONLY|DIRECTORY; rmdir d; fstat h; fchmod h 0700; reopen k h RDONLY|DIRECTORY;
    create /proc/self/fd/3/f
a file without a name gets one once
    open h . RDWR|TMPFILE 0640; write h text; name h f; get f; name h g; unlink f; get g; unlink g; name h i
a file without a name that is to have none
    open h . RDWR|TMPFILE|EXCL 0640; write h text; name h f
one without a name is none of another's
    open h . RDWR|TMPFILE 0600; write h x; bob: reopen k h RDONLY; bob: reopen k h PATH
appending goes to the end, wherever one stands
    put f 12345; open h f RDWR|APPEND; seek h 1; write h 67; seek h 0 CUR; pread h 0 20; open k f WRONLY|APPEND;
    write k 89; write h 0; pread h 0 20; ftruncate h 3; write k z; pread h 0 20
writing behind the end leaves zeros
    open h f RDWR|CREAT; pwrite h 10000 x; pread h 0 20000; fstat h; sync h
writes of no bytes
    open h f RDWR|CREAT; write h; pwrite h 100; fill h 100 0; fstat h
positions
    put f 0123456789; open h f RDWR; seek h 3; read h 2; seek h 0 CUR; seek h -1 END; read h 5; seek h 100 END;
    read h 1; write h x; fstat h; seek h -1; seek h -200 CUR
vectors
    open h f RDWR|CREAT; writev h ab cde f; seek h 0; readv h 1 2 3; readv h 4 4
reading what is for writing, and the other way round
    put f text; open r f RDONLY; open w f WRONLY; write r x; read w 1; ftruncate r 0; ftruncate w 2; fchmod r 0600;
    allocate r ALL 0 10; copy w 0 r 0 1; copy r 0 w 1 1; sync r; sync w data; sync w system; sync w range
a handle that is a path only
    put f text; open p f PATH; read p 1; write p x; fstat p; fchmod p 0600; fchown p - crew; reopen k p RDONLY;
    read k 4; ftruncate p 0; sync p; seek p 0
rename over what is open
    put a old; put b new; open h a RDWR; rename b a; pread h 0 9; fstat h; pwrite h 0 OLD; get a; pread h 0 9
permissions count when it is opened
    put f text; open h f RDWR; chmod f 0000; pwrite h 0 more; pread h 0 9; can f RDONLY; reopen k h RDONLY;
    root: chown f bob crew; write h x; fstat h
what is open through /proc is opened with its own permissions
    put f text; chmod f 0604; open h f RDONLY; bob: reopen k h RDONLY; bob: reopen k h RDWR; reopen k h RDWR;
    mkdir d; chmod d 0700; put d/f text; open j d/f RDONLY; bob: reopen k j RDONLY; bob: get d/f
truncating at opening
    put f text; open h f RDONLY; can f RDWR|TRUNC; pread h 0 9; can f RDWR|TRUNC; bob: can f RDWR|TRUNC
direct
    open h f RDWR|CREAT|DIRECT; direct h 0 8192 write; direct h 4096 4096 read; fstat h; direct h 8192 4096 read;
    direct h 16384 4096 write; open k f RDWR; pwrite k 100 cached; direct h 0 4096 read; direct h 0 4096 write;
    pread k 0 200; sync h
"""
