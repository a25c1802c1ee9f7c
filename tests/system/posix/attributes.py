"""Cases: modes, owners and set-ID bits, times, access, extended attributes."""

import re
from collections.abc import Iterator
from itertools import product

from tests.system.posix.differing import Case, written

_FOUR = ["alice", "bob", "carol", "root"]
_SET_ID = ["6777", "4755", "2755", "2745", "6711", "4644", "2644", "6666", "1755", "7777"]
_ENDING = """
put f more WRONLY | put f more WRONLY,APPEND | put f x WRONLY,TRUNC | truncate f 2 | truncate f 9 | chown f - crew
open h f RDWR; ftruncate h 1 | open h f RDWR; fill h 0 0 | open h f RDWR; map h 4 SHARED 0 z; sync h | chown f alice -
chown f alice staff | chown f bob crew | lchown f - staff | chmod f 6755 | touch f | times f 1 2 | setx f user.a b
link f g | rename f g
"""
_ENDING_FOR_USERS = ["allocate h ALL 0 100", "allocate h PUNCH|KEEP 0 2", "copy h 0 h 2 2"]  # root: see `differences`
_WHEN = ["NOW", "OMIT", "0", "0.000000001", "1.999999999", "1600000000.123456789", "-1", "-1.5", "-2147483648",
         "2147483648", "4294967296", "4300000000.5", "9000000000.000000001", "-2000000000.999999999"]  # fmt: skip


def cases() -> Iterator[Case]:
    """See the module."""
    yield from _modes()
    yield from _owners()
    yield from _set_ids()
    yield from _times()
    yield from _rights()
    yield from written(_ATTRIBUTES)
    yield from written(_TIMES)


def _modes() -> Iterator[Case]:
    for bits in range(0, 0o10000, 0o421):
        yield Case(f"chmod {bits:o}", f"put f x; mkdir d; chmod f {bits:o}; chmod d {bits:o}; bob: chmod f 0777")
    for who, mode, group in product(_FOUR, ["2755", "6755", "0644", "2711"], ["staff", "crew", "others"]):
        setting = f"put f x; mkdir d; root: chown f alice {group}; root: chown d alice {group}"
        script = f"{setting}; {who}: chmod f {mode}; {who}: chmod d {mode}"
        yield Case(f"{who} makes what is alice's and {group}'s {mode}", script)


def _owners() -> Iterator[Case]:
    for who, mode, whose in product(_FOUR, ["0644", "6755", "2745", "6644"], _OWNERS):
        setting = f"put f x; mkdir d; chmod f {mode}; chmod d {mode}; symlink f l"
        tries = [f"chown f {whose}", f"chown d {whose}", f"chown l {whose}", f"lchown l {whose}"]
        yield Case(f"{who} gives what is {mode} to {whose}", _by(who, setting, tries))


def _set_ids() -> Iterator[Case]:
    """What ends these bits: writing by who may not set them, and a new owner."""
    setting = "put f text; root: chown f alice crew; root: chmod . 0777"
    for who, mode, ending in product(["alice", "bob", "root"], _SET_ID, _split(_ENDING)):
        yield Case(
            f"set-ID bits {mode} when {who} does {ending}",
            _by(who, f"{setting}; root: chmod f {mode}", ending.split("; ")),
        )
    for who, mode, ending in product(["alice", "bob"], _SET_ID, _ENDING_FOR_USERS):
        yield Case(
            f"set-ID bits {mode} when {who} does {ending}",
            _by(who, f"{setting}; root: chmod f {mode}", ["open h f RDWR", ending]),
        )


def _times() -> Iterator[Case]:
    for accessed, modified in product(_WHEN, _WHEN):
        if {"NOW", "OMIT"} & {accessed, modified} or accessed == modified:
            script = f"put f x; times f {accessed} {modified}; symlink f l; times l {modified} {accessed} nofollow"
            yield Case(f"times {accessed} and {modified}", f"{script}; chmod f 0600")
    for who, mode in product(_FOUR, ["0600", "0660", "0606", "0440"]):
        tries = ["touch f", "times f NOW NOW", "times f NOW OMIT", "times f OMIT OMIT", "times f 1 1", "times f OMIT 1"]
        script = _by(who, f"put f x; root: chown f alice crew; chmod f {mode}", tries)
        yield Case(f"{who} sets times of what is {mode}", script)


def _rights() -> Iterator[Case]:
    asked = [f"access n {how} {whose}" for how, whose in product(["F", "R", "W", "X", "RW", "RX", "RWX"], _IDS)]
    tries = _split(
        "list n | create n/f | get n | put n x WRONLY | stat n/. | setx n user.a b | getx n user.a | listx n"
    )
    for who, mode, make in product(_FOUR, ["0000", "0700", "0070", "0007", "0654", "0111"], ["create", "mkdir"]):
        script = _by(who, f"{make} n; root: chown n alice crew; chmod n {mode}", [*asked, *tries])
        yield Case(f"what {who} may do after {make} with mode {mode}", script)


_IDS = ["real", "effective"]
_OWNERS = ["- staff", "- crew", "- others", "alice -", "bob -", "root -", "alice crew", "bob crew", "root root"]


def _split(text: str) -> list[str]:
    """What stands between bars and in lines; a comma in it is a bar."""
    return [one.strip().replace(",", "|") for one in re.split(r"[|\n]", text.strip())]


def _by(who: str, setting: str, tries: list[str]) -> str:
    return "; ".join([setting, *[f"{who}: {one}" for one in tries]])


_LONG = "user." + "n" * 250

_ATTRIBUTES = f"""
attributes come and go
    put f x; setx f user.a 1; getx f user.a; setx f user.a 2; setx f user.b; listx f; removex f user.a;
    getx f user.a; removex f user.a; listx f; getx f user.b
attributes only where there is one, or none
    put f x; setx f user.a 1 REPLACE; setx f user.a 1 CREATE; setx f user.a 2 CREATE; setx f user.a 3 REPLACE;
    getx f user.a; setx f user.a 4 CREATE|REPLACE; getx f user.a; setx f user.c 1 CREATE|REPLACE
attributes of what is not a file
    mkdir d; setx d user.a 1; listx d; mknod p pipe; setx p user.a 1; bind s; setx s user.a 1; listx p;
    getx s user.a; root: mknod c char 0644 0x103; root: setx c user.a 1; root: setx p trusted.a 1;
    root: getx p trusted.a; symlink no l; getx l user.a; listx l
attributes have names
    put f x; setx f user. 1; setx f user 1; setx f a 1; setx f system.a 1;
    setx f {_LONG} 1;
    setx f {_LONG}n 1;
    setx f nobody.x 1;
    getx f {_LONG};
    getx f {_LONG}n;
    removex f user.; getx f nobody.x; removex f nobody.x; listx f; setx f user.%ff%0a 1; listx f; setx f user.A 1;
    setx f user.a 2; getx f user.A; getx f no; setx f user.a.b.c 1
attributes have contents
    put f x; setx f user.a %00%01%ff; getx f user.a; fillx f user.a 1000; getx f user.a; fillx f user.a 65537;
    fillx f user.a 0; getx f user.a
attributes of root's
    put f x; setx f trusted.a 1; root: setx f trusted.a 1; getx f trusted.a; root: getx f trusted.a; listx f;
    root: listx f; removex f trusted.a; root: removex f trusted.a
attributes by others
    put f x; setx f user.a 1; bob: setx f user.a 2; bob: getx f user.a; chmod f 0600; bob: getx f user.a;
    bob: listx f; chmod f 0666; bob: setx f user.a 3; chmod f 0400; setx f user.a 4; chmod f 0200; getx f user.a;
    root: getx f user.a; bob: removex f user.a; root: removex f user.a
attributes in a sticky directory
    mkdir d; chmod d 1777; bob: setx d user.a 1; setx d user.a 1; bob: getx d user.a; bob: removex d user.a; mkdir e;
    chmod e 0777; bob: setx e user.a 1
attributes go along
    put f x; setx f user.a 1; link f g; getx g user.a; rename f h; getx h user.a; put h more; getx h user.a;
    chmod h 0600; truncate h 0; getx h user.a
attributes of what is open
    open h f RDWR|CREAT; setx /proc/self/fd/3 user.x 1; unlink f; listx f
no size is known of nothing
    listx no; getx no user.a; setx no user.a 1; removex no user.a; setx f/x user.a 1
"""

_TIMES = """
what changes times
    open h f RDWR|CREAT; write h text; pread h 0 4; fstat h; chmod f 0600; chmod f 0600; link f g; unlink g;
    rename f g; chown g - crew; setx g user.a 1; removex g user.a; ftruncate h 9; fill h 0 0; allocate h KEEP 0 100;
    allocate h ALL 0 5; allocate h ALL 0 100; allocate h PUNCH|KEEP 0 10; allocate h ZERO 0 10; sync h; stat g;
    get g; touch g; put g x WRONLY|TRUNC; put g x WRONLY|APPEND; can g RDONLY; can g RDWR; can g RDWR|TRUNC;
    can g RDWR|TRUNC; copy h 0 h 1 1
what changes a directory's times
    mkdir d; create d/f; link d/f d/g; rename d/f d/h; rename d/h h; rename h d/h; unlink d/g; mkdir d/e;
    create d/e/x; unlink d/e/x; rmdir d/e; symlink x d/l; mknod d/p pipe; bind d/s; chmod d/h 0600; put d/h x;
    list d; chmod d 0700; rename d dd; setx dd user.a 1; open h dd RDWR|TMPFILE; name h dd/named;
    rename dd/h dd/p EXCHANGE; rename dd/l dd/l
moved directories
    mkdir a; mkdir b; mkdir a/d; rename a/d b/d; stat a; stat b; stat b/d; rename b/d a EXCHANGE
exchanged
    mkdir d; put d/a 1; put b 2; rename d/a b EXCHANGE; get b; get d/a; mkdir e; rename e d/a EXCHANGE; stat d;
    stat .
times that were set stay until something is done
    put f x; times f 1000 2000; stat f; chmod f 0600; link f g; setx f user.a 1; put f more WRONLY;
    times f 1000 2000; truncate f 1; times f 1000 2000; open h f RDWR; times f 3 4; write h z; sync h; times f 5 6;
    close h; stat f
a map changes times
    open h f RDWR|CREAT; fill h 0 5000; sync h; times f 1 2; map h 5000 SHARED 0 zz; sync h; pread h 0 3
what another does changes times
    put f x; chmod f 0666; times f 1 2; bob: put f more WRONLY; times f 1 2; bob: truncate f 1; times f 1 2;
    bob: touch f
times of a directory
    mkdir d; times d 1 2; stat d; create d/f; times d 1 2; unlink d/f; times d 9000000000.5 1
"""
