"""What was seen of a grid that was joined, unjudged: who answers, what the files say, whose clock says what. Pure.

`health` says what is wrong by it, `observing` gathers it.
"""

from dataclasses import dataclass
from enum import Enum

from commonhold.authority.blessed import Verdict
from commonhold.errors import HoldError
from commonhold.grids.marked import Problem
from commonhold.transport.rules import Rules


class How(Enum):
    """What became of calling somebody."""

    UP = "answers"
    AWAY = "does not answer"
    OTHER_KEY = "is another: whoever is at its address has another key"
    BARRED = "may not be dialled"
    REFUSED = "answers, and refuses"
    CLOCK = "answers, and refuses, as its clock and this one differ"
    UNTRIED = "was not called"


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody who was called, and how that went; `why` in words, of what did not go well."""

    who: str
    how: How = How.UP
    why: str = ""

    def __str__(self) -> str:
        return f"{self.who} {self.how.value}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Apart:
    """By how many seconds, at least, somebody's clock is ahead of this one; less than 0: behind it."""

    who: str
    seconds: int


@dataclass(frozen=True, slots=True)
class ListSeen:
    """A blesser's newest revocation list as it is kept here, if one is; `given`: until when one is fresh that it, or an
    introducer, has just given."""

    blesser: str
    fresh_until: int | None = None
    contradicted: bool = False
    given: int | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A server that would take shares, and until when (the first second of not) credentials let the account in there;
    None: there are none, or too few."""

    server: str
    until: int | None = None


class Asked(Enum):
    """What blessers say who were asked for credentials that are missing."""

    NOT = "was not asked"
    GRANTED = "grants them"
    WAITS = "has it wait for a person's word"
    REFUSED = "refuses them"
    CLOCK = "refuses, as the two clocks differ"


@dataclass(frozen=True, slots=True)
class Account:
    """How an account stands with its blessers. `ticket`: its invitation was not used yet."""

    seats: tuple[Seat, ...]
    asked: Asked = Asked.NOT
    why: str = ""
    ticket: bool = False


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """A storage server that is known, and how calling it went; `used` of `quota` bytes, where it has said so."""

    name: str
    upload: Verdict
    look: Look
    quota: int | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """What an introducer does not show, or only an older one of, though others show it."""

    introducer: str
    servers: tuple[str, ...]
    shown_by: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Something that is kept, until when, and what is wrong with it, if anything is. `lost`: it cannot be read now."""

    name: str
    until: int
    wrong: str | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen of a grid, in seconds since 1970. `account` is None where it was joined without one."""

    name: str
    directory: str
    now: int
    rules: Rules
    keep: tuple[int, int]
    shared: tuple[HoldError, ...] = ()
    problems: tuple[Problem, ...] = ()
    proxies: tuple[Look, ...] = ()
    apart: tuple[Apart, ...] = ()
    introducers: tuple[Look, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    blessers: tuple[Look, ...] = ()
    lists: tuple[ListSeen, ...] = ()
    account: Account | None = None
    servers: tuple[ServerSeen, ...] = ()
    leases: tuple[Lease, ...] = ()
    policies: tuple[tuple[str, str | None], ...] = ()  # names, and what is wrong
