"""A volume that comes to be of another realm: whoever owned something there owns it still, under the new name."""

from commonhold.formats import acl
from commonhold.trees import ROOT, Change, Who
from commonhold.volume.volume import Volume
from tests.volume.volumes import DIRECTORY, FILE, Place, make

LIST = b"user::rwx\nuser:%b:rw-\nuser:bob@elsewhere:r--\ngroup::r-x\ngroup:team@%b:r--\nmask::rw-\nother::---\n"
LOCAL, FAMILY = LIST % (b"carol@local", b"local"), LIST % (b"carol@family", b"family")


def owners(volume: Volume, name: bytes) -> tuple[str, str]:
    found = volume.lookup(ROOT, name)
    return found.owner, found.group


def test_all_of_one_realm_are_of_the_other_and_nobody_else(place: Place, volume: Volume) -> None:
    whose = {
        b"mine": Who("alice@local", "users@local"),
        b"theirs": Who("bob@elsewhere", "nobody"),
        b"near": Who("local@far", "alice@localhost"),
        b"known": Who("sid:S-1-5@local", "team@family"),
    }
    for name, who in whose.items():
        volume.make(ROOT, name, FILE, 0, b"", who, True)
    before = volume.lookup(ROOT, b"mine")
    volume.rename_realm("local", "family")
    after = {
        b"mine": ("alice@family", "users@family"),
        b"theirs": ("bob@elsewhere", "nobody"),
        b"near": ("local@far", "alice@localhost"),
        b"known": ("sid:S-1-5@family", "team@family"),
    }
    assert volume.lookup(ROOT, b"mine") == before._replace(owner="alice@family", group="users@family")
    assert {name: owners(volume, name) for name in whose} == after
    again = place.crash(volume)
    assert {name: owners(again, name) for name in whose} == after
    again.change(again.lookup(ROOT, b"theirs").number, Change(owner="alice@local"))
    assert owners(again, b"theirs")[0] == "alice@local" and owners(again, b"mine")[0] == "alice@family"


def test_two_who_come_to_have_one_name_are_one(place: Place, volume: Volume) -> None:
    for name in (b"local", b"family"):
        volume.make(ROOT, name, FILE, 0, b"", Who(f"carol@{name.decode()}", f"team@{name.decode()}"), True)
    volume.rename_realm("local", "family")
    for crashed in (False, True):
        found = place.crash(volume) if crashed else volume
        assert owners(found, b"local") == owners(found, b"family") == ("carol@family", "team@family")


def test_lists_name_them_as_they_are_called_then(place: Place, volume: Volume) -> None:
    directory = make(volume, b"d", DIRECTORY).number
    for name in acl.NAMES:
        volume.set_xattr(directory, name, LOCAL, 0)
    both = LOCAL.replace(b"user:bob@elsewhere:r--", b"user:carol@family:r--")
    file = make(volume, b"f").number
    volume.set_xattr(file, acl.ACCESS, both, 0)
    volume.set_xattr(file, b"user.note", b"user:carol@local:rw-", 0)
    volume.rename_realm("local", "family")
    again = place.crash(volume)
    assert [again.xattr(directory, name) for name in acl.NAMES] == [FAMILY, FAMILY]
    assert again.xattr(file, acl.ACCESS) == FAMILY.replace(
        b"user:carol@family:rw-\nuser:bob@elsewhere", b"user:carol@family"
    )
    assert again.xattr(file, b"user.note") == b"user:carol@local:rw-"
