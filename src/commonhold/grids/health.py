"""What is wrong with a grid that was joined: what was seen of it in, findings out, each with what to do. Pure.

Who is named in `said` is named as people know them; what others have said stands there in their words. The line that
helps is to be run here, unless a remark behind it says where. REQUIREMENTS B8, B11, B16, B26, D6, D10, D19, D25.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from shlex import quote
from typing import Final

from commonhold.authority import times
from commonhold.authority.judging import Reason
from commonhold.errors import HoldError
from commonhold.grids.marked import Problem
from commonhold.grids.seen import Account, Apart, Asked, Hidden, How, Lease, ListSeen, Look, Seen, ServerSeen
from commonhold.host.health import Finding, fail, ok, warn
from commonhold.host.names import shown
from commonhold.transport.rules import Rules, Way

ENDING: Final = 14 * 86_400  # seconds before the end of a lease from which on it is told
_FULL: Final = 0.9
_MOST: Final = 8  # that are named one by one
_SET_CLOCK: Final = "sudo timedatectl set-ntp true"
_ASK: Final = "hold servers --ask"


def judged(seen: Seen) -> list[Finding]:
    """Return all findings about a grid; each check bears its name."""
    found = [
        *private(seen.shared),
        *files(seen.problems, seen.directory),
        *rules(seen.rules, seen.directory),
        *proxies(seen.proxies),
        *clock(seen.apart),
        *introducers(seen.introducers, seen.rules),
        *hidden(seen.hidden),
        *blessers(seen.blessers, seen.name),
        *lists(seen.lists, seen.now),
        *account(seen.account, seen.now, seen.name),
        *servers(seen.servers, seen.keep, seen.directory),
        *blessings(seen.servers),
        *quota(seen.servers),
        *leases(seen.leases, seen.now),
        *kept(seen.leases),
        *regular(seen.policies),
    ]
    return [replace(one, check=f"{seen.name}/{one.check}") for one in found]


# ── files ──


def private(shared: Sequence[HoldError]) -> list[Finding]:
    """What of a grid's directory others can read or could have written."""
    return [fail("files", str(one), one.hint) for one in shared]


def files(problems: Sequence[Problem], directory: str) -> list[Finding]:
    """What is wrong in the files of known servers, by its place. Where it is the override, a server is not dialled."""
    found = []
    for one in problems:
        path = _word(f"{directory}/{one.place.file}")
        if one.place.file.startswith("cache/"):
            found.append(warn("files", str(one), f"rm {path}; {_ASK}"))
        else:
            found.append(fail("files", f"{one}; its server is not used until that is mended", _edit(path, one)))
    return _first("files", found)


def _edit(path: str, problem: Problem) -> str:
    return f'"${{EDITOR:-vi}}" +{problem.place.line} {path}'


# ── how to dial ──


def rules(found: Rules, directory: str) -> list[Finding]:
    """Rules by which nothing can be reached."""
    path = _word(f"{directory}/grid.toml")
    remedy = f'"${{EDITOR:-vi}}" {path}  # tor = "tcp:127.0.0.1:9050" below [rules]'
    if found.anonymous and found.tor is None and found.i2p is None:
        return [fail("rules", "they are anonymous and name no proxy: nothing can be dialled", remedy)]
    if found.tcp is Way.TOR and found.tor is None:
        return [fail("rules", "tcp goes by Tor, and no proxy is named: no tcp: address can be dialled", remedy)]
    return []


def proxies(looks: Sequence[Look]) -> list[Finding]:
    """The proxies that the rules name: whether anybody listens there."""
    found = []
    for one in looks:
        service = "i2pd" if one.who.startswith("I2P") else "tor"
        if one.how is How.UP:
            found.append(ok("proxy", str(one)))
        else:
            found.append(fail("proxy", f"{one}; nothing goes by it", f"sudo systemctl start {service}"))
    return found


# ── clocks ──


def clock(seen: Sequence[Apart]) -> list[Finding]:
    """Whose clock is wrong, by what others say: this one's, where more are apart from it to one side than agree."""
    off = [one for one in seen if abs(one.seconds) > times.SKEW]
    if not off:
        return [ok("clock", f"{_count(len(seen), 'other agrees', 'others agree')} with this one")] if seen else []
    ahead = [one for one in off if one.seconds > 0]
    side = max(ahead, [one for one in off if one.seconds < 0], key=len)
    agree = len(seen) - len(off)
    if len(side) > max(1, agree):
        said = f"{_named(one.who for one in side)} are {_apart(side)} this clock: it is probably this one that is wrong"
        return [fail("clock", said, _SET_CLOCK)]
    if len(seen) == 1:
        said = f"the clock of {off[0].who} is {_apart(off)} this one: one of the two is wrong"
        return [warn("clock", said, "timedatectl")]
    return [
        warn(
            "clock",
            f"the clock of {one.who} is {_apart([one])} this one, with which {agree} agree: it is probably that one",
            f"{_SET_CLOCK}  # on the machine of {one.who}",
        )
        for one in off
    ]


def _apart(side: Sequence[Apart]) -> str:
    seconds = sorted(one.seconds for one in side)[len(side) // 2]
    return f"at least {_span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"


def _span(seconds: int) -> str:
    for size, word in ((86_400, "days"), (3600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}"
    return f"{seconds // 60} minutes"


# ── who speaks of the grid ──


def introducers(looks: Sequence[Look], by: Rules) -> list[Finding]:
    """Those that the grid names. One that is away matters little; where all are, nothing new is heard."""
    if not looks:
        return [ok("introducers", "the grid names none: servers are those that the files have")]
    if by.anonymous:
        return [ok("introducers", "not called: whoever is anonymous does not call many in one moment")]
    up = sum(one.how is How.UP for one in looks)
    found = []
    for one in looks:
        if one.how is How.OTHER_KEY:
            found.append(fail("introducers", str(one), f"{_ASK}  # after its pin in grid.toml is put right"))
        elif one.how is not How.UP and not up:
            found.append(fail("introducers", f"{one}; nothing new is heard of servers", _ASK))
        elif one.how is not How.UP:
            found.append(warn("introducers", f"{one}; {up} of {len(looks)} do, and tell of servers", _ASK))
    return _first("introducers", found) or [ok("introducers", f"{up} of {len(looks)} answer")]


def hidden(found: Sequence[Hidden]) -> list[Finding]:
    """Introducers that show less than others: they could part clients from each other."""
    return [
        warn(
            "introducers",
            f"{one.introducer} does not show {_named(one.servers)} as {one.shown_by} of the others show it: it may "
            "have started a moment ago, or it hides what others tell",
            f"hold why {quote(one.servers[0])}",
        )
        for one in found
    ]


def blessers(looks: Sequence[Look], grid: str) -> list[Finding]:
    """Those that let servers and accounts in. What they gave holds for a while when they are away."""
    called = [one for one in looks if one.how is not How.UNTRIED]
    found = []
    for one in called:
        if one.how is How.OTHER_KEY:
            found.append(fail("blessers", str(one), f"hold grid show {grid}  # where it runs, for the right pin"))
        elif one.how is not How.UP:
            said = f"{one}; until it does, nobody new is let in and nothing is renewed"
            found.append(warn("blessers", said, f"hold grid serve {grid}  # where it runs"))
    up = sum(one.how is How.UP for one in called)
    return _first("blessers", found) or ([ok("blessers", f"{up} of {len(looks)} answer")] if called else [])


def lists(seen: Sequence[ListSeen], now: int) -> list[Finding]:
    """Revocation lists: without a fresh one of a blesser its blessings count for no upload."""
    found = []
    for one in seen:
        if one.contradicted:
            why = "has signed two revocation lists of one number that differ: its key may be in two hands"
            said = f"{one.blesser} {why}; its word counts for no upload until a newer list comes"
            found.append(fail("revocations", said, "hold servers --ask  # after whoever blesses has looked into it"))
        elif one.fresh_until is not None and now < times.end(one.fresh_until):
            continue
        elif one.given is not None and now < times.end(one.given):
            found.append(warn("revocations", f"that of {one.blesser} here is not fresh, a newer one was given", _ASK))
        elif one.fresh_until is None:
            found.append(fail("revocations", f"none of {one.blesser} has come: nothing is put anywhere", _ASK))
        else:
            said = f"that of {one.blesser} was fresh until {times.shown(one.fresh_until)}, and no newer one came"
            found.append(fail("revocations", f"{said}: nothing is put at servers that it has blessed", _ASK))
    ends = [one.fresh_until for one in seen if one.fresh_until is not None]
    fresh = [ok("revocations", f"fresh until {times.shown(min(ends))}")] if ends else []
    return found or fresh


def account(found: Account | None, now: int, grid: str) -> list[Finding]:
    """Whether the account may enter where shares would be put."""
    if found is None:
        return [ok("account", "joined without one: what is there can be read, and nothing stored")]
    out = [one for one in found.seats if one.until is None or one.until <= now]
    if not out and not found.ticket:
        until = min((one.until for one in found.seats if one.until is not None), default=None)
        return [ok("account", f"let in at every server until {times.shown(until)}")] if until is not None else []
    at = _named(one.server for one in out)
    lacks = f"there is no credential that holds for {at}" if out else "the invitation was not used yet"
    if found.asked is Asked.WAITS:
        approve = f"hold grid list {grid}  # whoever blesses; hold grid approve NUMBER lets it in"
        return [fail("account", f"{lacks}: it waits for a person's word at its blesser", approve)]
    if found.asked is Asked.CLOCK:
        return [fail("account", f"{lacks}, and its blesser gives none, as its clock and this one differ", _SET_CLOCK)]
    if found.asked is Asked.REFUSED:
        return [fail("account", f"{lacks}, and its blesser refuses: {found.why}", "hold join CODE  # a new invitation")]
    if found.asked is Asked.GRANTED:
        return [warn("account", f"{lacks}; its blesser grants it when it is asked", "hold quota")]
    return [fail("account", f"{lacks}, and no blesser who could give one was reached", "hold quota")]


# ── servers ──


def servers(seen: Sequence[ServerSeen], keep: tuple[int, int], directory: str) -> list[Finding]:
    """Whether servers answer, are whom they should be, and are as many as shares are wanted."""
    if not seen:
        return [fail("servers", "none is known: nothing can be kept or read", _ASK)]
    found = []
    for one in seen:
        if one.look.how is How.OTHER_KEY:
            found.append(fail("servers", f"{one.look}; nothing was sent to it", _why(one)))
        elif one.look.how not in (How.UP, How.UNTRIED, How.CLOCK) and one.upload.seen:
            found.append(warn("servers", str(one.look), _why(one)))
        elif one.upload.leaving and one.upload.by:
            said = f"{one.name} is being emptied by its owner: what is kept there is to be moved"
            found.append(warn("servers", said, _why(one)))
    named = _first("servers", found)
    takes = sum(one.upload.allowed and one.look.how in (How.UP, How.UNTRIED) for one in seen)
    k, n = keep
    if takes < n:
        said = f"{takes} of {len(seen)} that are known take shares now, {k} of {n} are wanted"
        if not takes:
            return [*named, fail("servers", f"{said}: nothing can be kept", "hold servers")]
        smaller = f"{said}: what is kept is spread over fewer, and less may be lost of it"
        fewer = f'"${{EDITOR:-vi}}" {_word(f"{directory}/grid.toml")}'
        return [*named, warn("servers", smaller, f"hold servers  # or want less in [keep]: {fewer}")]
    return named or [ok("servers", f"{takes} of {len(seen)} that are known take shares, for {k} of {n}")]


_TOLD: Final = (Reason.EXPIRED, Reason.REVOKED, Reason.CLASS)  # STALE is told by `lists`, EARLY by `clock`


def blessings(seen: Sequence[ServerSeen]) -> list[Finding]:
    """Servers whose blessing was lost: nothing is put there, and what is there is read."""
    found = []
    for one in seen:
        reasons = [each for each in one.upload.seen if each.reason in _TOLD]
        if not one.upload.by and reasons:
            lost = "was taken back" if reasons[0].reason is Reason.REVOKED else reasons[0].said
            said = f"{one.name}: its blessing {lost}; nothing new is put there, and what is there is read"
            found.append(warn("blessings", said, _why(one)))
    return _first("blessings", found)


def quota(seen: Sequence[ServerSeen]) -> list[Finding]:
    """What the account may keep at each server, as that has it."""
    told = [(one.name, one.used, one.quota) for one in seen if one.used is not None and one.quota is not None]
    found = []
    for name, used, limit in told:
        said = f"{name}: {used >> 20} of {limit >> 20} MiB used"
        if used >= limit:
            found.append(fail("quota", f"{said}: nothing more is taken there", "hold quota"))
        elif used >= limit * _FULL:
            found.append(warn("quota", said, "hold quota"))
    return _first("quota", found) or ([ok("quota", f"room at all {len(told)} that were asked")] if told else [])


def leases(found: Sequence[Lease], now: int) -> list[Finding]:
    """What is kept on the grid only until soon, or may be gone by now."""
    wrong = []
    for one in sorted(found, key=lambda lease: lease.until):
        remedy, name = f"hold repair {_word(one.name)}", shown(one.name)
        if one.until <= now:
            wrong.append(fail("leases", f"{name} was kept until {times.shown(one.until)}: it may be gone", remedy))
        elif one.until - now < ENDING:
            wrong.append(warn("leases", f"{name} is kept until {times.shown(one.until)}", remedy))
    good = [ok("leases", f"{_count(len(found), 'thing is', 'things are')} kept for two weeks more")] if found else []
    return _first("leases", wrong) or good


def kept(found: Sequence[Lease]) -> list[Finding]:
    """What is kept and damaged, or was not looked at for long."""
    wrong = []
    for one in found:
        said = f"{shown(one.name)}: {shown(one.wrong or '')}"
        if one.lost:
            wrong.append(fail("kept", said, f"hold check {_word(one.name)}"))
        elif one.wrong is not None:
            wrong.append(warn("kept", said, f"hold repair {_word(one.name)}"))
    good = [ok("kept", "nothing that is kept is known to lack a share")] if found else []
    return _first("kept", wrong) or good


def regular(found: Sequence[tuple[str, str | None]]) -> list[Finding]:
    """Policies by which nothing was kept for longer than twice their period."""
    wrong = [warn("policies", f"{shown(name)}: {shown(why)}", "hold keep --due") for name, why in found if why]
    return _first("policies", wrong) or ([ok("policies", "what they say was done in time")] if found else [])


# ── the machine ──


def code(name: str, portable: bool) -> Finding:
    """What computes shares here."""
    if portable:
        said = f"shares are computed by {name}: right, and many times slower than by ISA-L"
        return warn("erasure code", said, "sudo apt-get install libisal2")
    return ok("erasure code", name)


def _word(text: str) -> str:
    """A path or a name as a word of a line to paste."""
    return quote(shown(text))


def _why(one: ServerSeen) -> str:
    return f"hold why {quote(one.name)}"


def _first(check: str, found: list[Finding]) -> list[Finding]:
    """As many as are read: a grid may have thousands of servers."""
    if len(found) <= _MOST:
        return found
    return [*found[:_MOST], replace(found[_MOST], said=f"{len(found) - _MOST} more such findings", check=check)]


def _named(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
