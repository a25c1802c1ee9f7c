"""The kinds of words that several commands take."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonhold.calls import Held, Snapshot

OWN = "/hold/me"
_KINDS = {
    0o010000: "pipe",
    0o020000: "character device",
    0o040000: "directory",
    0o060000: "block device",
    0o120000: "symlink",
    0o140000: "socket",
}  # by the type in a mode


def is_own(path: str) -> bool:
    """Whether a path is one of the caller's own tree, and no CID's."""
    return path.startswith("/hold/")


def held_row(held: "Held") -> dict[str, object]:
    """What is in the own tree, as programs are told it: times in seconds since 1970."""
    import stat

    from commonhold.host.names import shown

    kind = _KINDS.get(stat.S_IFMT(held.mode), "file")
    times = {name: getattr(held, name) / 1e9 for name in ("accessed", "modified", "changed", "born")}
    row = {"type": kind, **held._asdict(), "mode": f"{stat.S_IMODE(held.mode):04o}", **times}
    row["target"] = None if held.target is None else shown(held.target)
    return {key: value for key, value in row.items() if value is not None}


def told_snapshot(one: "Snapshot") -> dict[str, object]:
    """A snapshot as programs are told it."""
    from commonhold.host.names import shown

    return one._asdict() | {"cid": str(one.cid), "path": shown(one.path)}


def natural(text: str) -> int:
    """A whole number from 0 on."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes")
    return number


_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


def size(text: str) -> int:
    """Bytes, such as 100G: K, M, G, T and P are powers of 1024."""
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    number = text[: len(text) - len(unit)]
    if unit not in _SIZES or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes such as 500, 20M or 100G")
    return int(number) * _SIZES[unit]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = 40_000 * 86_400


def duration(text: str) -> int:
    """A length of time such as 90s, 5m, 48h or 365d, in nanoseconds; from a second to some hundred years."""
    seconds = int(text[:-1]) * _UNITS.get(text[-1:], 0) if text[:-1].isascii() and text[:-1].isdecimal() else 0
    if not 1 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a length of time such as 90s, 5m, 48h or 365d")
    return seconds * 1_000_000_000


def user(text: str) -> int:
    """A user of this host, by name or uid."""
    import pwd

    from commonhold.api import MAX_USER

    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        pass
    if not (text.isascii() and text.isdecimal() and int(text[:12]) <= MAX_USER and len(text) <= 10):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no user of this host")
    return int(text)


def reader_options(parser: argparse.ArgumentParser) -> None:
    """The options that say who else may read what is kept."""
    parser.add_argument(
        "--reader",
        type=user,
        action="append",
        default=[],
        metavar="USER",
        help="a user of this host who may read it too, by name or uid; may be given several times",
    )
    parser.add_argument("--public", action="store_true", help="everybody who may use this node may read it")


def readers_of(args: argparse.Namespace) -> tuple[int, ...]:
    """Who else may read, each once."""
    from commonhold.api import PUBLIC

    return tuple(sorted({*args.reader, *([PUBLIC] if args.public else [])}))


def filled(text: str) -> str:
    """A name that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text
