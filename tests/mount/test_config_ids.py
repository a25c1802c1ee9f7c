"""Whose uids are whose, as the config of a mount says."""

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.identity.idmap import Row
from commonhold.mount.config import parse
from commonhold.mount.users import HostIds

BOX = {"first": 100000, "size": 10, "principal": "0@box"}


def test_rows_map_uids_that_the_user_database_does_not_have() -> None:
    config = parse({"realm": "family", "users": [BOX], "groups": [BOX | {"first": 200000}]})
    assert config.users == (Row(100000, 10, "0@box"),)
    ids = HostIds(config.realm, config.users, config.groups)
    assert ids.user(100003) == "3@box" and ids.uid("3@box") == 100003
    assert ids.group(200009) == "9@box" and ids.gid("9@box") == 200009
    assert ids.user(100010) is None and ids.uid("10@box") is None and ids.user(65534) is None
    assert ids.user(0) == "root@family" and ids.uid("root@family") == 0 and ids.uid("root@elsewhere") is None


@pytest.mark.parametrize(
    "said", ["", "nobody", "%", "a%", "x@", "@family", "a@b@c", "é@family", "a" * 10000, "a@family\0"]
)
def test_what_is_no_principal_is_nobodys(said: str) -> None:
    ids = HostIds("family")
    assert ids.uid(said) is None and ids.gid(said) is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"realm": "Two Words"}, "realm"),
        ({"users": 3}, "users"),
        ({"users": [{"first": 1, "size": 1}]}, "users"),
        ({"users": [BOX | {"more": 1}]}, "users"),
        ({"users": [BOX | {"first": "1"}]}, "users"),
        ({"users": [BOX | {"principal": "not one"}]}, "users"),
        ({"users": [BOX, BOX | {"principal": "0@other"}]}, "users"),
        ({"users": [BOX, BOX | {"first": 5}]}, "users"),
        ({"groups": [BOX | {"principal": "root@local"}]}, "groups"),
    ],
)
def test_what_maps_nobody_surely_is_refused_by_name(values: dict[str, object], why: str) -> None:
    with pytest.raises(HoldError, match=f"config: {why}: ") as caught:
        parse(values)
    assert caught.value.kind is Kind.USAGE
