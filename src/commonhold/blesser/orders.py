"""What a blesser's owner tells it to do, as JSON: the same whether it runs, by its control socket, or not.

docs/spec/enrolment.md, "The owner's calls". What is said here is the owner's, and checked all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from commonhold.authority.ledger import AccountInvitation, Issued, Ledger
from commonhold.blesser.book import Waiting
from commonhold.blesser.meetings import LIFE, Meetings
from commonhold.blesser.office import Office
from commonhold.errors import HoldError, Kind
from commonhold.formats import hint, pin, shortcode
from commonhold.formats.blessing import MAX_CLASSES, Blessing, Purpose, word
from commonhold.formats.credential import MAX_QUOTA
from commonhold.formats.hint import Hint, TcpHint, TorHint
from commonhold.formats.invitation import Invitation
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, pin_of
from commonhold.formats.request import MAX_ACCOUNT, MAX_PURPOSES
from commonhold.formats.shortcode import ShortCode
from commonhold.ipc.control import Order, Told

_MARGIN: Final = 10 * 60  # seconds that the ticket of a short code lasts longer, to be used
_LONGEST: Final = 3650 * 86_400


@dataclass(frozen=True, slots=True)
class Orders:
    """See the module. Without `meetings` the blesser does not run, and there are no short codes."""

    office: Office
    meetings: Meetings | None = None

    def do(self, order: Order) -> Told:
        """Do what an order says. USAGE for what is none; and what comes of it."""
        found = _ORDERS.get(str(order.get("do")))
        if found is None:
            raise HoldError("order", Kind.USAGE, str(order.get("do"))[:40], "no such order")
        try:
            return found(self, order)
        except Malformed as error:
            raise HoldError(str(order["do"]), Kind.USAGE, error.what, error.why) from error


def _invite(orders: Orders, order: Order) -> Told:
    short = order.get("short") is True
    if short and orders.meetings is None:
        raise HoldError("invite", Kind.UNREACHABLE, "short code", "the blesser does not run", hint="hold grid serve")
    where = _place(orders.office.config.own.addresses) if short else None
    seconds = LIFE + _MARGIN if short else _number(order, "seconds", _LONGEST)
    if order.get("server") is True:
        made = orders.office.invite_server(_purposes(order), _classes(order), seconds)
    else:
        made = orders.office.invite_account(_name(order), _number(order, "quota", MAX_QUOTA), seconds)
    told: Told = {"account": made.account or None, "purposes": list(map(str, made.purposes)) or None}
    if where is None or orders.meetings is None:
        return told | {"code": made.text, "short": False, "until": made.not_after, "number": None}
    return (
        told | {"short": True, "until": made.not_after - _MARGIN} | _short(orders.meetings, made, where, orders.office)
    )


def _short(meetings: Meetings, made: Invitation, where: Hint, office: Office) -> Told:
    try:
        plate, words = meetings.open(made)
    except HoldError:
        office.withdraw(made)
        raise
    return {"code": ShortCode(plate, words, where).text, "number": plate}


def _place(addresses: tuple[str, ...]) -> Hint:
    """The first address that a short code can name."""
    for one in map(hint.parse, addresses):
        if isinstance(one, TcpHint | TorHint):
            return one
    why = "the blesser has no address that a short code can name"
    raise HoldError("invite", Kind.USAGE, "address", why, hint="--long, or set addresses in blesser.toml")


def _outcome(orders: Orders, order: Order) -> Told:
    found = orders.meetings.outcome(_number(order, "number", shortcode.MAX_PLATE)) if orders.meetings else None
    return {"outcome": found.name.lower() if found else None, "said": found.value if found else None}


def _bless(orders: Orders, order: Order) -> Told:
    server = pin.parse_pin(_text(order, "server", 100))
    made = orders.office.bless(server, _purposes(order), _classes(order), _number(order, "seconds", _LONGEST))
    return {"server": str(server), "blessings": [one.hex() for one in made]}


def _revoke(orders: Orders, order: Order) -> Told:
    if order.get("server"):
        serials = orders.office.revoke_server(pin.parse_pin(_text(order, "server", 100)))
    else:
        serials = orders.office.revoke_account(_name(order))
    return {"serials": sorted(serials)}


def _restore(orders: Orders, order: Order) -> Told:
    if order.get("server"):
        orders.office.restore(server=pin.parse_pin(_text(order, "server", 100)))
    else:
        orders.office.restore(account=_name(order))
    return {}


def _approve(orders: Orders, order: Order) -> Told:
    number = _number(order, "number", 1 << 40)
    return _told_waiting(orders.office.approve(number, _number(order, "quota", MAX_QUOTA), _classes(order)))


def _decline(orders: Orders, order: Order) -> Told:
    return _told_waiting(orders.office.decline(_number(order, "number", 1 << 40)))


def _revocations(orders: Orders, order: Order) -> Told:
    return {"revocations": orders.office.sign_list().hex()}


def _list(orders: Orders, order: Order) -> Told:
    ledger, waiting = orders.office.state()
    return {
        "grid": str(ledger.grid),
        "blesser": str(GridId(orders.office.keys.public)),
        "sequence": ledger.sequence,
        "servers": [
            {
                "server": str(host.server), "purposes": sorted(map(str, host.purposes)),
                "classes": list(host.classes), "revoked": host.revoked,
            }
            for host in ledger.hosts.values()
        ],
        "accounts": [
            {"account": one.name, "quota": one.quota, "revoked": one.revoked} for one in ledger.accounts.values()
        ],
        "issued": [_told_issued(ledger, one) for one in ledger.issued.values()],
        "invitations": [
            {
                "account": one.account if isinstance(one, AccountInvitation) else None,
                "purposes": None if isinstance(one, AccountInvitation) else sorted(map(str, one.purposes)),
                "until": one.not_after,
            }
            for one in ledger.invitations.values()
        ],
        "waiting": [_told_waiting(one) for one in waiting],
    }  # fmt: skip


def _told_issued(ledger: Ledger, one: Issued) -> Told:
    said = one.said
    return {
        "serial": said.serial, "server": str(said.server), "account": one.account,
        "purpose": str(said.purpose) if isinstance(said, Blessing) else None,
        "from": said.not_before, "until": said.not_after, "revoked": said.serial in ledger.revoked,
    }  # fmt: skip


def _told_waiting(one: Waiting) -> Told:
    return {
        "number": one.id, "account": one.account or None, "server": None if one.account else str(pin_of(one.key)),
        "purposes": list(map(str, one.purposes)), "addresses": list(one.addresses), "why": one.why, "since": one.since,
    }  # fmt: skip


_ORDERS: Final[dict[str, Callable[[Orders, Order], Told]]] = {
    "invite": _invite,
    "outcome": _outcome,
    "bless": _bless,
    "revoke": _revoke,
    "restore": _restore,
    "approve": _approve,
    "decline": _decline,
    "revocations": _revocations,
    "list": _list,
}


def _number(order: Order, name: str, most: int) -> int:
    found = order.get(name, 0)
    if type(found) is not int or not 0 <= found <= most:
        raise Malformed(name, f"no number from 0 to {most}")
    return found


def _text(order: Order, name: str, most: int) -> str:
    found = order.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= most or not found.isprintable():
        raise Malformed(name, f"no text of 1 to {most} characters")
    return found


def _name(order: Order) -> str:
    return _text(order, "account", MAX_ACCOUNT)


def _words(order: Order, name: str, most: int) -> tuple[str, ...]:
    found = order.get(name, [])
    if not isinstance(found, list) or len(found) > most or not all(isinstance(one, str) for one in found):
        raise Malformed(name, f"no list of up to {most} words")
    return tuple(dict.fromkeys(word(name, one) for one in found))


def _purposes(order: Order) -> tuple[Purpose, ...]:
    found = tuple(map(Purpose, _words(order, "purposes", MAX_PURPOSES)))
    if not found:
        raise Malformed("purposes", "none")
    return found


def _classes(order: Order) -> tuple[str, ...]:
    return _words(order, "classes", MAX_CLASSES)
