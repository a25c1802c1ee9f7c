"""Cases: lengths and holes, maps, copies, locks."""

from collections.abc import Iterator
from itertools import product

from tests.system.posix.differing import Case, written

_LENGTHS = [0, 1, 4095, 4096, 4097, 8192, 100_000, 1 << 20, (1 << 20) + 1, 3_000_000]
_MODES = ["ALL", "KEEP", "PUNCH|KEEP", "PUNCH", "ZERO", "ZERO|KEEP", "COLLAPSE|KEEP", "INSERT|KEEP", "COLLAPSE|ZERO"]
_RANGES = [(0, 4096), (4096, 8192), (100, 50), (5000, 100_000), (9990, 20), (200_000, 10), (0, 0), (-1, 5), (5, -1)]


def cases() -> Iterator[Case]:
    """See the module."""
    for before, after in product(_LENGTHS, _LENGTHS):
        script = (
            f"open h f RDWR|CREAT; fill h 0 {before}; ftruncate h {after}; pwrite h 50 z; ftruncate h {before}; sync h"
        )
        yield Case(f"{before} bytes made {after} and {before} again", script)
    for mode, (offset, length) in product(_MODES, _RANGES):
        if ("COLLAPSE" in mode or "INSERT" in mode) and length > 0 and offset >= 0:
            continue  # see `differences`
        script = f"open h f RDWR|CREAT; fill h 0 10000; allocate h {mode} {offset} {length}"
        yield Case(f"allocate {mode} {offset} {length}", f"{script}; fstat h; sync h; pread h 0 20000")
    for start, offset, length in product([0, 100, 9000, 20_000], [0, 4096, 15_000], [0, 1, 5000, 100_000]):
        setting = "open a a RDWR|CREAT; fill a 0 10000; pwrite a 50 begin; open b b RDWR|CREAT; fill b 0 6000"
        script = f"{setting}; copy a {start} b {offset} {length}"
        yield Case(f"copy {length} from {start} to {offset}", f"{script}; fstat b; sync b; pread b 0 40000")
    for table in (_SIZES, _MAPS, _LOCKS):
        yield from written(table)


_SIZES = """
sizes that cannot be
    put f x; truncate f -1; mkdir d; truncate d 0; mknod p pipe; truncate p 0; symlink f l; truncate l 5;
    truncate no 0; bob: truncate f 0; chmod f 0444; truncate f 0; root: truncate f 0
a sparse file
    open h f RDWR|CREAT; pwrite h 1000000000000 end; fstat h; pread h 999999999998 10; pread h 5 10;
    ftruncate h 1000000000001; pread h 999999999998 10; ftruncate h 2000000000000; fstat h; ftruncate h 5;
    pread h 0 10; sync h
ranges of what is no file
    mkdir d; open h d RDONLY; allocate h ALL 0 10; copy h 0 h 5 5; open f f RDWR|CREAT; copy f 0 h 0 5;
    copy h 0 f 0 5; mknod p pipe; open p p RDWR; allocate p ALL 0 10; copy f 0 p 0 5; ftruncate h 0; ftruncate p 0;
    sync p; sync h; seek p 0
copies within a file
    open h f RDWR|CREAT; fill h 0 5000; pwrite h 0 begin; copy h 0 h 6000 100; pread h 6000 10; copy h 0 h 50 100;
    fstat h; copy h 0 h 5 5; copy h 0 h 0 0; pread h 0 20; open k f WRONLY|APPEND; copy h 0 k 0 5; open r f RDONLY;
    copy h 0 r 0 5
a copy of what is not written yet
    open a a RDWR|CREAT; write a text; open b b RDWR|CREAT; copy a 0 b 0 4; pread b 0 9; pwrite a 0 TEXT;
    pread b 0 9; pwrite b 1 oo; pread a 0 9
a tail of zeros
    open h f RDWR|CREAT; write h text; sync h; ftruncate h 2; ftruncate h 100; pread h 0 100; ftruncate h 5000;
    pread h 4090 20; sync h
allocated and cut
    open h f RDWR|CREAT; allocate h KEEP 0 100000; fstat h; write h x; ftruncate h 1; ftruncate h 9000;
    pread h 0 9999
holes in what is closed
    open h f RDWR|CREAT; fill h 0 65536; ftruncate h 1048576; fill h 524288 65536; sync h; close h; open r f RDONLY;
    seek r 0 DATA; seek r 0 HOLE; seek r 65536 DATA; seek r 100000 DATA; seek r 524288 HOLE; seek r 600000 DATA;
    seek r 600000 HOLE; seek r 1048576 HOLE; seek r 1048576 DATA; seek r -1 DATA; seek r 0 CUR
"""

_MAPS = """
a shared map writes
    open h f RDWR|CREAT; fill h 0 5000; map h 5000 SHARED 4998 zz; pread h 4990 20; sync h; get f
a private map does not
    open h f RDWR|CREAT; fill h 0 5000; map h 5000 PRIVATE 100 zz; pread h 90 20; sync h
a map over a hole
    open h f RDWR|CREAT; ftruncate h 100000; map h 100000 SHARED 50000; map h 100000 SHARED 50000 zz;
    pread h 49990 20; sync h
a map beyond the end
    open h f RDWR|CREAT; fill h 0 5000; map h 20000 SHARED 4999; map h 20000 SHARED 5000; map h 20000 SHARED 8191;
    map h 20000 SHARED 8192; map h 20000 SHARED 15000 z; map h 20000 PRIVATE 15000 z; fstat h;
    map h 20000 SHARED 6000 z; fstat h; ftruncate h 9000; pread h 5000 4000
a map of nothing
    open h f RDWR|CREAT; map h 4096 SHARED 0; map h 4096 SHARED 0 z; fstat h; map h 0 SHARED 0
maps and what they need
    put f text; open r f RDONLY; map r 4 SHARED 0; map r 4 SHARED 0 z; map r 4 PRIVATE 0 z; open w f WRONLY;
    map w 4 SHARED 0; map w 4 PRIVATE 0; mkdir d; open d d RDONLY; map d 4 SHARED 0; open a f RDWR|APPEND;
    map a 4 SHARED 0 z; get f; open p f PATH; map p 4 SHARED 0
a map after writing, and writing after a map
    open h f RDWR|CREAT; fill h 0 9000; map h 9000 SHARED 1 ab; pwrite h 2 cd; map h 9000 SHARED 0; pread h 0 8;
    map h 9000 SHARED 3 ef; ftruncate h 4; ftruncate h 9000; pread h 0 8; map h 9000 SHARED 4; sync h;
    allocate h PUNCH|KEEP 0 4096; map h 9000 SHARED 3; unlink f; map h 9000 SHARED 8000 gh; pread h 7999 4
"""

_LOCKS = """
flock is between openings
    open h f RDWR|CREAT; flock h SH; other flocked f SH; other flocked f EX; flock h EX; other flocked f SH;
    bob: other flocked f SH; flock h UN; other flocked f EX; flocked f EX; flock h EX; flocked f EX; close h;
    flocked f EX
flock does not need to write
    open h f RDWR|CREAT; open r f RDONLY; flock r EX; flock h SH; flock r SH; flock h SH; flock h EX; mkdir d;
    open d d RDONLY; flock d EX; other flocked d SH
POSIX locks are between processes
    open h f RDWR|CREAT; lock h WRLCK 0 10; other locked f RDLCK 5 10; other locked f WRLCK 10 5; lock h UNLCK 3 4;
    other locked f WRLCK 3 4; other locked f WRLCK 2 2; other holder f WRLCK 0 0; lock h RDLCK 0 10;
    other locked f RDLCK 0 0; other locked f WRLCK 9 1; other holder f WRLCK 0 0; other holder f RDLCK 0 0;
    lock h WRLCK 5 0; other holder f WRLCK 100 1; other locked f WRLCK 1000000 1
a POSIX lock goes with any closing
    open h f RDWR|CREAT; lock h WRLCK 0 0; other locked f WRLCK 0 0; other flocked f EX; open k f RDONLY; close k;
    other locked f WRLCK 0 0
locks need what they are for
    put f x; open r f RDONLY; lock r WRLCK 0 1; lock r RDLCK 0 1; open w f WRONLY; lock w RDLCK 0 1;
    lock w WRLCK 0 1; lock w WRLCK -1 1; lock w WRLCK 10 -5; other holder f WRLCK 0 0;
    lock w WRLCK 9223372036854775807 1; lock r WRLCK 0 1 handle
locks of handles are each one's own
    open h f RDWR|CREAT; open k f RDWR; lock h WRLCK 0 10 handle; lock k WRLCK 5 10 handle; lock k WRLCK 10 5 handle;
    lock h WRLCK 0 20 handle; lock k UNLCK 10 5 handle; lock h WRLCK 0 20 handle; other locked f RDLCK 0 1;
    lock k WRLCK 0 1; close h; lock k WRLCK 0 0 handle; other locked f RDLCK 0 1 handle; flock k EX
locks of what has no name
    open h f RDWR|CREAT; unlink f; lock h WRLCK 0 0; reopen k h RDWR; lock k RDLCK 0 1 handle; flock h EX;
    flock k EX
leases
    put f x; open r f RDONLY; open w f RDWR; lease r RDLCK; close w; lease r RDLCK; lease r WRLCK; lease r UNLCK;
    bob: lease r RDLCK; mkdir d; open d d RDONLY; lease d RDLCK
a pipe works
    mknod p pipe; open r p RDONLY|NONBLOCK; can p WRONLY; open w p WRONLY|NONBLOCK; ready r; bob: can p RDONLY;
    bob: can p WRONLY
a pipe without readers
    mknod p pipe; open w p WRONLY|NONBLOCK; open r p RDWR|NONBLOCK; read r 1; close r; write w x
"""
