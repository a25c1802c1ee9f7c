"""A blinded account at its blessers and servers: what it has signed unseen, and what it shows. docs/spec/blinded.md.

Its blessers know the account, its servers know a key each; nothing that one of them sees is seen by another. D18, D19.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from commonhold.authority import times
from commonhold.authority.derived import Secret, blinded_seed, client_seed, rank
from commonhold.authority.lists import Lists
from commonhold.authority.tokens import Wallet
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.exchange.badge import Badge
from commonhold.formats import blinded
from commonhold.formats.blinded import Mint, MintId, Terms, Token
from commonhold.formats.charter import Blesser
from commonhold.formats.fields import Fields, made
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.request import BlindRequest, Order
from commonhold.formats.statement import Kind as Said
from commonhold.formats.storagewords import MAX_CREDENTIALS
from commonhold.grids import holder
from commonhold.grids.answers import lied
from commonhold.grids.asking import Counsel
from commonhold.grids.enrolling import Enrolment, Validity
from commonhold.grids.membership import Membership, Mode, no_account
from commonhold.grids.standing import FILE, Given, Standing
from commonhold.grids.surroundings import Surroundings

_TERMS: Final = b"terms"
_TERMS_LIFE: Final = 7 * 86_400  # seconds after which an account asks anew what it may have
_PIN: Final = 32
_PLACE: Final = _PIN + MintId.LENGTH  # what a token is about: a server and a mint


@dataclass(frozen=True, slots=True)
class Kept:
    """A token as it is kept: shown from `ready` on, at the earliest, and until its mint's period `ends`."""

    token: Token
    ready: int
    ends: int

    @property
    def encoded(self) -> bytes:
        """Its bytes."""
        return made(token=self.token.encoded, ready=self.ready, ends=self.ends)


def _kept(data: bytes) -> Kept:
    fields = Fields("kept token", data)
    token = blinded.parse_token(fields.raw("token", blinded.MAX_TOKEN))
    return Kept(token, fields.number("ready"), fields.number("ends"))


def _kept_terms(data: bytes) -> tuple[Terms, int]:
    fields = Fields("kept terms", data)
    return blinded.parse_terms(fields.raw("terms", blinded.MAX_TOKEN)), fields.number("since")


class BlindedAsker:
    """An `enrolling.Asker`. `wanted` says at which servers the account is to have a place, `lists` which mints there
    are."""

    def __init__(
        self,
        membership: Membership,
        secret: Secret,
        standing: Standing,
        wanted: Callable[[], Iterable[SpkiPin]],
        lists: Callable[[], Lists],
        now: Callable[[], int],
    ) -> None:
        self._membership = membership
        self._secret = secret
        self._wanted = wanted
        self._lists = lists
        self._now = now
        self._ticket = holder.ticket(membership.directory)
        self._terms: dict[PublicKey, Terms] = {}
        self._had: dict[MintId, set[SpkiPin]] = {}
        for given in standing.all():
            if self.validity(given) is not None:
                self._know(given.about, given.blesser, given.statement)

    def counsel(self) -> Counsel:
        """Terms, where there are none; and a token for each server, of this period, and of the next when it is time."""
        rule = self._membership.charter.accounts
        wanted: dict[bytes, Sequence[PublicKey]] = {_TERMS: (self._ticket.by,) if self._ticket else rule.blessers}
        for blesser in [one for one in rule.blessers if one in self._terms][: rule.needed]:
            for wallet in self._wallets(blesser, self._now()):
                for server in self._seated(wallet, self._terms[blesser].seats):
                    wanted[server + wallet.name] = (blesser,)
        return Counsel(wanted, rule.needed)

    def request(self, blesser: PublicKey, about: Sequence[bytes], now: int) -> bytes:
        """Ask for terms, and for a signature of a blank for each place."""
        ticket = self._ticket.ticket if self._ticket and self._ticket.by == blesser else None
        orders = tuple(
            Order(wallet.name, wallet.blank(server)) for wallet, server in self._places(blesser, about)
        )  # fmt: skip
        wish = BlindRequest(self._membership.grid, blesser, now, self._membership.account, orders, ticket)
        return signed(Said.REQUEST, wish.body, client_seed(self._secret, pin_of(blesser))).encoded

    def granted(
        self, blesser: PublicKey, about: Sequence[bytes], statements: Sequence[bytes], now: int
    ) -> list[Validity]:
        """The terms and tokens of an answer: first the terms. With the first the ticket is used."""
        terms, *answers = statements
        places = list(self._places(blesser, about))
        if len(answers) != len(places):
            raise lied(blesser, f"{len(answers)} signatures, {len(places)} were asked for")
        try:
            kept = [
                Kept(wallet.token(server, answer), now + wallet.rests(server), wallet.mint.not_after)
                for (wallet, server), answer in zip(places, answers, strict=True)
            ]
        except Malformed as error:
            raise lied(blesser, str(error)) from error
        if self._ticket is not None and self._ticket.by == blesser:
            holder.drop_ticket(self._membership.directory)
            self._ticket = None
        since = made(terms=terms, since=now)
        found = [Validity(_TERMS, since, now, now + _TERMS_LIFE)]
        found += [Validity(one.token.server + one.token.mint, one.encoded, one.ends, one.ends) for one in kept]
        for one in found:
            self._know(one.about, blesser, one.statement)
        return found

    def validity(self, given: Given) -> Validity | None:
        """Until when something holds that was kept. A token is never renewed: each period has its own."""
        try:
            if given.about == _TERMS:
                _, since = _kept_terms(given.statement)
                return Validity(_TERMS, given.statement, since, since + _TERMS_LIFE)
            kept = _kept(given.statement)
        except Malformed:
            return None
        token = kept.token
        own = sign.public_key(blinded_seed(self._secret, token.server))
        if token.client != own or given.about != token.server + token.mint or token.blesser != given.blesser:
            return None
        return Validity(given.about, given.statement, kept.ends, kept.ends)

    def _wallets(self, blesser: PublicKey, now: int) -> Iterator[Wallet]:
        """For each mint of which it is time to have tokens."""
        grid, lists = self._membership.grid, self._lists()
        for name, mint in lists.mints(blesser, grid).items():
            if mint.quota == self._terms[blesser].quota and not lists.revoked(blesser, grid, mint.serial):
                wallet = Wallet(self._secret, grid, blesser, name, mint)
                if wallet.asks_at() <= now < mint.not_after:
                    yield wallet

    def _seated(self, wallet: Wallet, seats: int) -> list[SpkiPin]:
        """Those of the wanted servers that there are tokens for: who has one keeps it; others by a rank of theirs."""
        had = self._had.get(wallet.name, set())
        wanted = set(self._wanted())
        new = sorted(wanted - had, key=lambda server: rank(self._secret, server))
        return [*(wanted & had), *new[: max(0, seats - len(had))]]

    def _places(self, blesser: PublicKey, about: Sequence[bytes]) -> Iterator[tuple[Wallet, SpkiPin]]:
        mints = self._lists().mints(blesser, self._membership.grid)
        for one in about:
            name = MintId(one[_PIN:])
            if len(one) == _PLACE and name in mints:
                yield Wallet(self._secret, self._membership.grid, blesser, name, mints[name]), SpkiPin(one[:_PIN])

    def _know(self, about: bytes, blesser: PublicKey, statement: bytes) -> None:
        if about == _TERMS:
            self._terms[blesser] = _kept_terms(statement)[0]
        else:
            self._had.setdefault(MintId(about[_PIN:]), set()).add(SpkiPin(about[:_PIN]))


class BlindedEnrolment(Enrolment):
    """A blinded account's: `run`, `once`, `wake`, `lists`, `last` of `Enrolment`."""

    def __init__(
        self,
        membership: Membership,
        wanted: Callable[[], Iterable[SpkiPin]],
        world: Surroundings,
        heard: Callable[[bytes], None] = lambda statement: None,
    ) -> None:
        """Open what is kept beside the membership. USAGE for one that is not blinded."""
        if membership.mode is not Mode.BLINDED:
            raise no_account("enrol", membership.name)
        secret = holder.secret(membership.directory)

        def asker(kept: Standing) -> BlindedAsker:
            kept.forget(_over(kept, world.now()))
            return BlindedAsker(membership, secret, kept, wanted, lambda: self.lists, world.now)

        super().__init__(membership, membership.directory / FILE, asker, world, heard)

    async def once(self) -> None:
        """Ask for all that is to be asked for now: first which mints there are."""
        await self.hear_all()
        await super().once()

    async def _call(self, blesser: Blesser, request: bytes) -> tuple[bytes, ...] | None:
        answer = await self._caller.blind(blesser, request)
        return None if answer is None else (answer[0].encoded, *answer[1])


def _over(standing: Standing, now: int) -> list[bytes]:
    """What tokens are about that hold no more."""
    found = []
    for given in standing.all():
        if len(given.about) == _PLACE:
            try:
                over = now >= times.end(_kept(given.statement).ends)
            except Malformed:
                over = True
            if over:
                found.append(given.about)
    return found


# ── what is shown ──


@dataclass(frozen=True, slots=True)
class Purse:
    """The tokens that an account has kept, and what says which mints there are: the lists that blessers gave, and those
    that introducers gave. A mint that the one has and the other does not could be one member's alone."""

    membership: Membership
    secret: Secret
    standing: Standing
    lists: tuple[Lists, ...]

    def badge(self, server: SpkiPin, now: int) -> Badge | None:
        """Return what lets the account into a server; None if no token counts there now."""
        best: dict[PublicKey, tuple[tuple[int, int], Token]] = {}
        for kept, mint in self._of(server):
            worth = mint.quota, mint.not_after
            known = best.get(kept.token.blesser)
            if kept.ready <= now and mint.not_before <= now and (known is None or known[0] < worth):
                best[kept.token.blesser] = worth, kept.token
        if not best:
            return None
        shown = tuple(token.encoded for _, token in sorted(best.values(), key=lambda one: one[0], reverse=True))
        return Badge(self.membership.grid, shown[:MAX_CREDENTIALS], blinded_seed(self.secret, server))

    def rests(self, server: SpkiPin, now: int) -> int | None:
        """Return when a token is shown first that rests now; None if none does."""
        return min((kept.ready for kept, _ in self._of(server) if kept.ready > now), default=None)

    def told(self, server: SpkiPin, now: int) -> str:
        """How the account stands at a server, in words."""
        until, ready = self.until(server, now), self.rests(server, now)
        if self.badge(server, now) is not None and until is not None:
            return f"let in as nobody that its blesser knows, until {times.shown(until)}"
        if ready is not None:
            why = "so that nobody can tell by the clock that who asked and who comes are one"
            return f"its token rests until {times.shown(ready)}, {why}"
        return "there is no token for it yet"

    def until(self, server: SpkiPin, now: int) -> int | None:
        """Return the first second at which too few tokens let the account in; None if that is so now."""
        needed = self.membership.charter.accounts.needed
        ends: dict[PublicKey, int] = {}
        for kept, mint in self._of(server):
            if mint.not_before <= now < times.end(mint.not_after):
                ends[kept.token.blesser] = max(times.end(mint.not_after), ends.get(kept.token.blesser, 0))
        return sorted(ends.values(), reverse=True)[needed - 1] if len(ends) >= needed else None

    def _of(self, server: SpkiPin) -> Iterator[tuple[Kept, Mint]]:
        """The tokens for a server whose mints stand."""
        for given in self.standing.all():
            if len(given.about) == _PLACE and given.about[:_PIN] == server:
                try:
                    kept = _kept(given.statement)
                except Malformed:
                    continue
                mint = self._stands(kept.token.blesser, kept.token.mint)
                if mint is not None:
                    yield kept, mint

    def _stands(self, blesser: PublicKey, name: MintId) -> Mint | None:
        """The mint, if all who have said anything of this blesser's have it."""
        found, grid = None, GridId(self.membership.grid)
        for lists in self.lists:
            if lists.newest(blesser, grid) is None:
                continue
            found = lists.mints(blesser, grid).get(name)
            if found is None or lists.revoked(blesser, grid, found.serial):
                return None
        return found
