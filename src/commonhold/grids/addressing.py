"""How one server is reached: by which addresses, announced or the user's own, in which order and by which rules. Pure.

An announced address never becomes one that is dialled directly against the rules: the user's own word, which names both
server and address, is the one exemption. docs/spec/known-servers.md; REQUIREMENTS D6, D10, D11, notes 9 and 10.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from commonhold.errors import HoldError
from commonhold.formats import hint
from commonhold.formats.hint import Hint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.grids.clauses import MAX_HINTS, Local, Marked
from commonhold.grids.known import Address, Decision
from commonhold.grids.marked import Place, Problem
from commonhold.transport.rules import Exemption, Rules, in_force, route


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of how to reach a server. `edited` are addresses in the place of the announced ones; `wrong` is
    what is wrong with its clause in the override."""

    server: SpkiPin
    announced: Marked[tuple[str, ...]] | None
    local: Local
    edited: Marked[tuple[Hint, ...]] | None
    wrong: Problem | None

    @property
    def instead(self) -> Marked[tuple[Hint, ...]] | None:
        """What stands in the place of the announced addresses."""
        return self.local.hints or self.edited

    @property
    def named(self) -> tuple[tuple[Hint, Place], ...]:
        """The addresses by the user's own word, each once, in the order in which they are tried."""
        found: dict[Hint, Place] = {}
        for hints, place in filter(None, (self.local.add_hints, self.instead)):
            for one in hints:
                found.setdefault(one, place)
        return tuple(found.items())


def rules_of(asked: Asked, rules: Rules) -> Rules:
    """Return the rules for one server. An exemption is for the addresses that stand beside `direct` (D11)."""
    if asked.local.direct is None or not asked.local.direct.value:
        return rules
    own = frozenset(Exemption(asked.server, one) for one, _ in asked.named)
    return replace(rules, exemptions=rules.exemptions | own)


def addresses(asked: Asked, rules: Rules) -> tuple[Address, ...]:
    """Return every address in the order in which it is dialled, those that are not as well."""
    found: list[Address] = []
    refused = _refused(asked)
    dialled = 0
    for address in _all(asked, rules):
        if address.hint is not None and refused:
            address = address._replace(hint=None, said=refused, reached=False)
        elif address.hint is not None and dialled == MAX_HINTS:
            address = address._replace(hint=None, said=f"not dialled: it comes after {MAX_HINTS}", reached=False)
        dialled += address.hint is not None
        found.append(address)
    return tuple(found)


def _refused(asked: Asked) -> str:
    """Why nothing of a server is dialled, if so."""
    if asked.wrong is not None:
        return f"not dialled until {asked.wrong.place} is mended: {asked.wrong.why}"
    use = asked.local.use
    return f"not dialled: {use.place} says that it is not used" if use and not use.value else ""


def _all(asked: Asked, rules: Rules) -> Iterator[Address]:
    for one, place in asked.named:
        said = in_force(rules, asked.server, one)
        yield Address(str(one), place, True, one, said, _leads(rules, asked.server, one))
    named = {one for one, _ in asked.named}
    if asked.announced is None:
        return
    place = asked.announced.place
    for text in asked.announced.value:
        found, said = announced(text, asked.server, rules)
        if found is not None and found in named:
            continue
        if found is not None and asked.instead is not None:
            found, said = None, f"not dialled: {asked.instead.place} names others instead"
        yield Address(text, place, False, found, said, found is not None and _leads(rules, asked.server, found))


def announced(text: str, server: SpkiPin, rules: Rules) -> tuple[Hint | None, str]:
    """Return what of an announced address may be dialled, if anything, and how, or why not."""
    try:
        one = hint.parse(text)
    except Malformed as error:
        return None, f"refused: {error.why}"
    if not hint.may_be_announced(one):
        return None, "refused: it is another place on every machine, so only an override may name it"
    return one, in_force(rules, server, one)


def _leads(rules: Rules, server: SpkiPin, one: Hint) -> bool:
    try:
        route(rules, server, one)
    except HoldError:
        return False
    return True


def decisions(asked: Asked) -> list[Decision]:
    """Return what decided how a server is reached."""
    local = asked.local
    found: list[Decision] = []
    announced = [Marked(", ".join(asked.announced.value), asked.announced.place)] if asked.announced else []
    if asked.instead is not None:
        found.append(Decision("addresses", _listed(asked.instead), asked.instead.place, tuple(announced)))
    else:
        found += [Decision("addresses", value or "none", place) for value, place in announced]
    if local.add_hints is not None:
        found.append(Decision("addresses before these", _listed(local.add_hints), local.add_hints.place))
    for name, mark in (("direct", local.direct), ("use", local.use)):
        if mark is not None:
            found.append(Decision(name, "true" if mark.value else "false", mark.place))
    if asked.wrong is not None:
        found.append(Decision("use", "false until this is mended", asked.wrong.place))
    return found


def _listed(marked: Marked[tuple[Hint, ...]]) -> str:
    return ", ".join(str(one) for one in marked.value)
