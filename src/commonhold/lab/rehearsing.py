"""A rehearsal: what befalls a grid, step by step, and what is to come of it. Pure: the same seed, the same trace.

A model of servers, lines and shares says of every step how it ends; whoever plays it on a real grid compares.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = "kept"
NOT_KEPT: Final = "not kept: too few servers take a share"
READ: Final = "every byte is there"
NOT_READ: Final = "not to be read now"
WHOLE: Final = "whole"
READABLE: Final = "readable, shares are missing"
MENDED: Final = "whole again"
NOT_MENDED: Final = "not whole again"
DONE: Final = "done"

_WEIGHTS: Final = {
    "put": 5, "get": 6, "check": 3, "repair": 3,
    "kill": 2, "damage": 1, "hostile": 1, "cut": 2, "slow": 1, "mend": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """Who does what, or what happens to which server; `ends` is how the model says that it ends."""

    verb: str
    server: str = ""
    user: str = ""
    tree: int = 0
    ends: str = DONE

    @property
    def text(self) -> str:
        """It, in words."""
        match self.verb:
            case "put" | "get" | "check" | "repair":
                return f"{self.user}: {self.verb} tree {self.tree}"
            case "cut":
                return f"{self.user} and {self.server} are cut off from each other"
            case "mend":
                return f"{self.server} is mended"
        said = {"kill": "is killed", "damage": "has a bit of each share flipped", "hostile": "lies from now on"}
        return f"{self.server} {said.get(self.verb, 'is slow')}"


@dataclass(slots=True)
class Model:
    """What is known of a grid whose trees have a share at each of its servers, `k` of which are enough."""

    servers: tuple[str, ...]
    users: tuple[str, ...]
    k: int
    down: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    cut: set[tuple[str, str]] = field(default_factory=set)
    owners: dict[int, str] = field(default_factory=dict)
    damaged: set[tuple[int, str]] = field(default_factory=set)

    def reached(self, user: str) -> list[str]:
        """The servers that somebody reaches."""
        return [one for one in self.servers if one not in self.down and (user, one) not in self.cut]

    def sound(self, user: str, tree: int) -> list[str]:
        """Those from which they have a sound share of a tree."""
        return [one for one in self.reached(user) if one not in self.lying and (tree, one) not in self.damaged]

    def broken(self) -> list[str]:
        """The servers with which something is wrong."""
        wrong = self.down | self.lying | self.slow | {server for _, server in self.cut}
        return [one for one in self.servers if one in wrong]

    def put(self, user: str) -> str:
        """Somebody puts a tree that is new."""
        if len(self.reached(user)) < len(self.servers):
            return NOT_KEPT
        self.owners[self.next_tree] = user
        return KEPT

    @property
    def next_tree(self) -> int:
        """The number of a tree that is new."""
        return len(self.owners) + 1

    def get(self, user: str, tree: int) -> str:
        """Somebody reads a tree. Whoever has put it has it here, too."""
        return READ if user == self.owners[tree] or len(self.sound(user, tree)) >= self.k else NOT_READ

    def check(self, user: str, tree: int) -> str:
        """Somebody looks at all shares of a tree."""
        count = len(self.sound(user, tree))
        return WHOLE if count == len(self.servers) else READABLE if count >= self.k else NOT_READ

    def repair(self, tree: int) -> str:
        """A tree's owner has it mended."""
        user = self.owners[tree]
        if len(self.sound(user, tree)) < self.k or len(self.reached(user)) < len(self.servers):
            return NOT_MENDED
        self.damaged -= {(tree, server) for server in self.servers if server not in self.lying}
        return NOT_MENDED if self.lying else MENDED

    def befall(self, verb: str, server: str, user: str) -> None:
        """Something happens to a server, or to somebody's line to it."""
        match verb:
            case "kill":
                self.down.add(server)
            case "damage":
                self.damaged |= {(tree, server) for tree in self.owners}
            case "hostile":
                self.lying.add(server)
            case "slow":
                self.slow.add(server)
            case "cut":
                self.cut.add((user, server))
            case "mend":
                for wrong in (self.down, self.lying, self.slow):
                    wrong.discard(server)
                self.cut = {line for line in self.cut if line[1] != server}


def schedule(seed: int, servers: Sequence[str], users: Sequence[str], k: int, count: int) -> Iterator[Step]:
    """So many steps on a grid of these; the first is a put. Nothing is drawn but from the seed."""
    draw = random.Random(seed)
    model = Model(tuple(servers), tuple(users), k)
    for number in range(count):
        yield _work(draw, model, "put") if number == 0 else _step(draw, model)


def _step(draw: random.Random, model: Model) -> Step:
    possible: dict[str, Callable[[], Sequence[str]]] = {
        "kill": lambda: [one for one in model.servers if one not in model.down],
        "damage": lambda: [one for one in model.servers if not any(server == one for _, server in model.damaged)],
        "hostile": lambda: [one for one in model.servers if one not in model.down | model.lying],
        "slow": lambda: [one for one in model.servers if one not in model.slow],
        "cut": lambda: model.servers,
        "mend": model.broken,
    }
    while True:
        verb = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if verb not in possible:
            return _work(draw, model, verb)
        there = possible[verb]()
        if there:
            server = draw.choice(there)
            user = draw.choice(model.users) if verb == "cut" else ""
            model.befall(verb, server, user)
            return Step(verb, server, user)


def _work(draw: random.Random, model: Model, verb: str) -> Step:
    user = draw.choice(model.users)
    if verb == "put" or not model.owners:
        tree = model.next_tree
        return Step("put", user=user, tree=tree, ends=model.put(user))
    tree = draw.choice(list(model.owners))
    if verb == "repair":
        return Step(verb, user=model.owners[tree], tree=tree, ends=model.repair(tree))
    return Step(verb, user=user, tree=tree, ends=(model.get if verb == "get" else model.check)(user, tree))
