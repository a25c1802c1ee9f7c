"""Policies: paths of a user's own tree that are kept on a grid again and again, and what was kept by each. SQLite.

When one is due is a pure function of it, of the time and of a draw. docs/spec/keeping.md, "Policies".
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from commonhold.host.sqlite import Database

FILE: Final = "policies.sqlite"
TURNS: Final = "policies.lock"  # whoever does what is due has it alone
VERSION: Final = 1
SHORTEST, LONGEST = 3600, 366 * 86_400  # seconds of a period
MOST_GENERATIONS: Final = 100
GENERATIONS: Final = 2  # the newest, and one from before whatever that took over spoilt
_AGAIN, _AGAIN_MOST = 900, 6 * 3600
_SCHEMA = """
create table policies (
  name text primary key, path blob not null, node text not null, every integer not null, generations integer not null,
  made integer not null, next integer not null, done integer, said text not null, failures integer not null,
  ending integer not null);
create table generations (
  number integer primary key autoincrement, policy text not null, name text not null unique, made integer not null,
  root text);
"""

Draw = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy; times and `every` in seconds. `path`: names below the tree's root, `node`: whose socket it is about.

    `done`: when it last succeeded; `said`: what is wrong since, for people; `failures`: how often in a row.
    """

    name: str
    path: tuple[bytes, ...]
    node: str
    every: int
    generations: int
    made: int
    next: int
    done: int | None = None
    said: str = ""
    failures: int = 0
    ending: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """A snapshot of a policy's, and the set of its name. `root` opens it; None: it is not whole on the grid yet."""

    name: str
    made: int
    root: str | None = None


def _policy(name: str, path: bytes, *others: Any) -> Policy:
    """A row, whose last column says whether it is to end."""
    names = tuple(path.split(b"/")) if path else ()
    return replace(Policy(name, names, *others), ending=bool(others[-1]))


def is_due(one: Policy, now: int) -> bool:
    """Whether it is time. What is much later was written by a clock that was wrong."""
    return one.ending or not now < one.next <= now + 2 * one.every


def after_success(one: Policy, now: int, draw: Draw) -> int:
    """When it is next due."""
    return now + round(one.every * (0.9 + 0.2 * draw()))


def after_failure(one: Policy, now: int, draw: Draw) -> int:
    """When it is tried again."""
    wait = min(_AGAIN_MOST, _AGAIN << min(one.failures, 16))
    return now + min(one.every, round(wait * (0.5 + draw())))


def wrong(one: Policy, now: int) -> str | None:
    """What its owner should know; None: all is well."""
    if now - (one.made if one.done is None else one.done) <= 2 * one.every:
        return None
    since = f"for {_long(now - one.done)}" if one.done is not None else "yet"
    return f"by its policy nothing was kept {since}" + (f": {one.said}" if one.said else "")


def _long(seconds: int) -> str:
    return f"{seconds // 3600} hours" if seconds < 3 * 86_400 else f"{seconds // 86_400} days"


class PolicyBook:
    """See the module: the policies of one grid. Safe from many threads; several processes may have it."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "a book of policies")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ── policies ──

    def all(self) -> list[Policy]:
        """All of them, by name."""
        with self._db.reading("list policies") as db:
            rows = db.execute("select * from policies order by name").fetchall()
        return [_policy(*row) for row in rows]

    def find(self, name: str) -> Policy | None:
        """One of them."""
        return next((one for one in self.all() if one.name == name), None)

    def put(self, one: Policy) -> None:
        """A new one; of one that is there period, generations, and when it is due."""
        with self._db.writing("note policy") as db:
            db.execute(
                "insert into policies values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (name) do update set "
                "every = excluded.every, generations = excluded.generations, next = min(next, excluded.next)",
                (
                    one.name, b"/".join(one.path), one.node, one.every, one.generations, one.made, one.next, one.done,
                    one.said, one.failures, one.ending,
                ),
            )  # fmt: skip

    def succeeded(self, one: Policy, now: int, after: int) -> None:
        """A round went well."""
        with self._db.writing("note round") as db:
            db.execute(
                "update policies set next = ?, done = ?, said = '', failures = 0 where name = ?", (after, now, one.name)
            )

    def failed(self, one: Policy, why: str, after: int) -> None:
        """A round did not."""
        with self._db.writing("note round") as db:
            db.execute(
                "update policies set next = ?, said = ?, failures = failures + 1 where name = ?", (after, why, one.name)
            )

    def end(self, name: str) -> None:
        """One is about to end: nothing is kept by it any more."""
        with self._db.writing("end policy") as db:
            db.execute("update policies set ending = 1 where name = ?", (name,))

    def remove(self, name: str) -> None:
        """One has ended."""
        with self._db.writing("end policy") as db:
            db.execute("delete from generations where policy = ?", (name,))
            db.execute("delete from policies where name = ?", (name,))

    # ── what was kept ──

    def generations(self, policy: str) -> list[Generation]:
        """What a policy keeps, the oldest first."""
        with self._db.reading("list generations") as db:
            asked = "select name, made, root from generations where policy = ? order by number"
            return [Generation(*row) for row in db.execute(asked, (policy,))]

    def begin(self, policy: str, one: Generation) -> None:
        """One is about to be made."""
        with self._db.writing("note generation") as db:
            db.execute("insert into generations values (null, ?, ?, ?, ?)", (policy, one.name, one.made, one.root))

    def whole(self, name: str, root: str) -> None:
        """It is on the grid."""
        with self._db.writing("note generation") as db:
            db.execute("update generations set root = ? where name = ?", (root, name))

    def strike(self, name: str) -> None:
        """It is there no more."""
        with self._db.writing("strike generation") as db:
            db.execute("delete from generations where name = ?", (name,))


def late(directory: Path, now: int) -> tuple[tuple[str, str | None], ...]:
    """The policies of a grid, and what is wrong with each."""
    if not (directory / FILE).exists():
        return ()
    with contextlib.closing(PolicyBook(directory / FILE)) as book:
        return tuple((one.name, wrong(one, now)) for one in book.all())
