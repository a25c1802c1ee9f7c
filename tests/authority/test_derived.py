"""What is derived: the same everywhere for one server, and for two servers nothing in common.

REQUIREMENTS B20, D18.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.derived import Secret, account_number, client_seed, rank, receiver
from commonhold.crypto import sign
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin

SECRET, ATTIC, CELLAR = Secret(bytes(range(32))), SpkiPin(b"\xaa" * 32), SpkiPin(b"\xbb" * 32)


def test_b20_values_are_those_of_another_tool() -> None:
    """printf 'commonhold … v1\\0…' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f (OpenSSL 3.0)."""
    assert account_number(SECRET, "Frau Müller", ATTIC).hex() == "3134646ebde57378a932b3f75b635191"
    assert client_seed(SECRET, ATTIC).raw.hex() == "f350cc574607e54ea421b83d7a0780d010d8ce266b40764cedbe06f8a58f269e"
    assert rank(SECRET, ATTIC).hex() == "f2c95509ebe9ac5c97a11d407c5b3be7c9b3443456c5e553e10cac7e6fb4bc9b"
    key = receiver(SECRET, GridId(b"c" * 32)).raw
    assert key.hex() == "49d78c64010f7e34bf2ac9ad987e26439190d44fb73a8cc9b06a19ed76e2c54f"


@given(name=st.text(max_size=8), other=st.text(max_size=8), a=st.binary(min_size=32, max_size=32))
def test_b20_accounts_and_servers_each_have_a_number_of_their_own(name: str, other: str, a: bytes) -> None:
    found = {account_number(SECRET, who, where) for who in (name, other) for where in (SpkiPin(a), ATTIC)}
    assert len(found) == len({name, other}) * len({SpkiPin(a), ATTIC})


def test_d18_two_servers_see_two_keys_and_two_numbers_of_one_account() -> None:
    assert client_seed(SECRET, ATTIC) != client_seed(SECRET, CELLAR)
    assert account_number(SECRET, "alice", ATTIC) != account_number(SECRET, "alice", CELLAR)


def test_no_derived_value_is_another_s() -> None:
    found = {account_number(SECRET, "", ATTIC)[:16], client_seed(SECRET, ATTIC).raw[:16], rank(SECRET, ATTIC)[:16]}
    assert len(found | {receiver(SECRET, GridId(ATTIC)).raw[:16]}) == 4


def test_d18_what_an_account_receives_with_is_nothing_that_a_server_sees() -> None:
    for server in (ATTIC, CELLAR):
        shown = sign.public_key(client_seed(SECRET, server))
        assert receiver(SECRET, GridId(server)).public not in (shown, client_seed(SECRET, server).raw)
    assert receiver(SECRET, GridId(ATTIC)).public != receiver(SECRET, GridId(CELLAR)).public


def test_a_secret_has_its_length_and_is_not_shown() -> None:
    assert repr(SECRET) == "Secret()" == str(SECRET)
    for length in (0, 31, 33, 64):
        with pytest.raises(Malformed):
            Secret(bytes(length))
