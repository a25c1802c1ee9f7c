"""Where the mount is not ext4, on purpose or because it cannot be: this is the whole list. README.md and
docs/spec/mount.md tell of the same."""

from typing import NamedTuple


class Known(NamedTuple):
    """What comes of a script's last step in the mount, what in ext4, and why."""

    why: str
    script: str
    here: object
    right: object


# fmt: off
KNOWN = [
    # ── owners are principals ──
    Known("an owner has a name on this host", "put f x; root: chown f 54321 -", "EINVAL", None),
    Known("a group, too", "put f x; root: chown f - 54321", "EINVAL", None),
    Known("whoever has no name makes nothing", "chmod . 0777; stranger: create f", "EOVERFLOW", None),
    Known("nobody makes nothing", "chmod . 0777; nobody: mkdir d", "EOVERFLOW", None),
    # ── what is not kept ──
    Known("who is named in a list has a name here", "put f x; acl f access u::rw-,u:54321:r--,g::r--,m::r--,o::---",
          "EINVAL", None),
    Known("attributes of security modules are not kept", "put f x; root: setx f security.x y", "ENOTSUP", None),
    Known("there are no flags of chattr(1)", "put f x; flags f", "ENOTTY", True),
    # ── sizes, space and times ──
    Known("attributes are longer", "put f x; fillx f user.a 65536", None, "ENOSPC"),
    Known("files are longer", "put f x; truncate f 9223372036854775807", None, "EFBIG"),
    Known("no range is taken out", "open h f RDWR|CREAT; fill h 0 8192; allocate h COLLAPSE 0 4096", "ENOTSUP", None),
    Known("no range is put in", "open h f RDWR|CREAT; fill h 0 8192; allocate h INSERT 0 4096", "ENOTSUP", None),
    Known("times end in 2262", "put f x; times f 15000000000 1; accessed f", 9223372036, 15000000000),
    Known("times begin in 1677", "put f x; times f -9000000000 1; accessed f", -9000000000, -2147483648),
    Known("direct reads may begin anywhere", "put f text; open h f RDONLY|DIRECT; pread h 1 2", b"ex", "EINVAL"),
    # ── what the kernel does not tell ──
    Known("no holes are told of while a file may be written",
          "open h f RDWR|CREAT; ftruncate h 9999; seek h 0 HOLE", "EINVAL", 0),
    Known("a cut to the length it has is none", "put f text; create g; truncate f 4; newer f g", False, True),
    Known("what goes through a pipe does not change its times",
          "mknod p pipe; open h p RDWR; create g; write h x; newer p g", False, True),
    Known("an attribute that stays as it was is a change",
          "put f x; setx f user.a 1; create g; setx f user.a 1; changed f g", True, False),
    Known("root, too, ends set-ID bits by a copy",
          "put f text; root: chmod f 4755; root: open h f RDWR; root: copy h 0 h 2 2; root: stat f",
          ("-rwxr-xr-x", "alice", "staff", 1, 4), ("-rwsr-xr-x", "alice", "staff", 1, 4)),
    Known("root, too, ends them by making room",
          "put f text; root: chmod f 4755; root: open h f RDWR; root: allocate h ALL 0 4; root: stat f",
          ("-rwxr-xr-x", "alice", "staff", 1, 4), ("-rwsr-xr-x", "alice", "staff", 1, 4)),
    Known("set-group-ID without execute outlives a cut by who is not of the group",
          "put f text; chmod f 2644; open h f RDWR; bob: ftruncate h 0; root: stat f",
          ("-rw-r-Sr--", "alice", "staff", 1, 0), ("-rw-r--r--", "alice", "staff", 1, 0)),
    Known("to give a file to nobody in particular is nothing",
          "put f x; chmod f 4755; bob: chown f - -", None, "EPERM"),
    Known("no rename leaves a whiteout", "put f x; root: rename f g WHITEOUT", "EINVAL", None),
    Known("`..` in a listing has the number of `.`", "mkdir d; above d", False, True),
]
# fmt: on
