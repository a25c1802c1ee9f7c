"""A server that has joined a grid: it asks its blessers to be blessed, in time again, and what was revoked.

What they give is put where its place in the mesh looks for it. A server that has not joined is blessed by a person, who
brings the files. docs/spec/membership.md; REQUIREMENTS B23.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.address import Address
from commonhold.formats.blessing import STORAGE
from commonhold.formats.hint import parse
from commonhold.formats.keys import Seed
from commonhold.grids import membership
from commonhold.grids.hosts import ServerEnrolment
from commonhold.grids.membership import Membership
from commonhold.grids.surroundings import real
from commonhold.host import disk
from commonhold.mesh.blessings import DIRECTORY, SUFFIX
from commonhold.transport.rules import Rules


def joined(state: Path, rules: Rules) -> Membership | None:
    """The membership of a server's directory, if it has joined a grid, by the rules of the server's config if that has
    any. ANONYMITY if it has joined to be anonymous, and the server is not."""
    if not (state / membership.FILE).exists():
        return None
    found = membership.load(state)
    if found.rules.anonymous and not rules.anonymous:
        why = f"by its {membership.FILE} it is to be anonymous, and by its config it is not"
        change = 'set anonymous = true and tor = "…" in server.toml, too; or anonymous = false in both'
        raise HoldError("open server", Kind.ANONYMITY, str(state), why, hint=change)
    return found if rules == Rules() else replace(found, rules=rules)


def introducers(of: Membership) -> tuple[Address, ...]:
    """Those that a grid's charter names."""
    return tuple(Address(one.pin, tuple(parse(text) for text in one.addresses)) for one in of.charter.introducers)


class Enrolled:
    """See the module. Close it."""

    def __init__(
        self, of: Membership, seed: Seed, addresses: Callable[[], tuple[str, ...]], heard: Callable[[bytes], None]
    ) -> None:
        self._directory = of.directory / DIRECTORY
        self._enrolment = ServerEnrolment(of, seed, addresses, real(), heard, self._show)
        self._show()

    async def run(self) -> None:
        """Go on until cancelled."""
        await self._enrolment.run()

    def _show(self) -> None:
        """Put the blessings there are where they are announced from."""
        with os_errors("keep blessing", str(self._directory)):
            disk.make_directory(self._directory, 0o700)
            for number, data in enumerate(self._enrolment.blessings(STORAGE)):
                path = self._directory / f"enrolled-{number}{SUFFIX}"
                if not path.exists() or path.read_bytes() != data:
                    disk.replace_file(str(path), data)

    def close(self) -> None:
        """Close what is kept."""
        self._enrolment.close()
