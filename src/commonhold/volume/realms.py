"""Which realm a volume's principals are of: one that was made before its host had a realm is given it later."""

from commonhold.formats import acl
from commonhold.volume.adopting import Adopting


class Realms(Adopting):
    """The part of a volume that moves between realms."""

    def rename_realm(self, realm: str, to: str) -> None:
        """Have all principals of a realm be those of the same names in another, also in access control lists. It is on
        disk on return. No time changes."""
        with self._held:
            self._rearrange()
            for name in self._tables.principals():
                mine, _, its = name.partition("@")
                if its == realm:
                    self._tables.rename_principal(name, f"{mine}@{to}")
            for kind in acl.NAMES:
                for number, value in self._tables.all_of(kind):
                    if f"@{realm}:".encode() in value:
                        self._tables.set_xattr(number, kind, acl.text(_renamed(acl.parse(value), realm, to)))
        self.commit()


def _renamed(found: acl.Acl[str], realm: str, to: str) -> acl.Acl[str]:
    """An ACL with other names. Of two entries that come to name the same, the one that did before counts."""

    def each(entries: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        there = {who for who, _ in entries}
        said = []
        for who, bits in entries:
            mine, _, its = who.partition("@")
            new = f"{mine}@{to}" if its == realm else who
            if new == who or new not in there:
                said.append((new, bits))
        return tuple(said)

    return found._replace(users=each(found.users), groups=each(found.groups))
