"""Hints: what is one, its one canonical text, from where it means the same, and what nobody may take for one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import hint as hints
from commonhold.formats.hint import I2pHint, Reach, TcpHint, TorHint, UnixHint, UnknownHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from tests import vectors

FILE = json.loads((vectors.ROOT / "hints.json").read_text())
KINDS = {"tcp": TcpHint, "tor": TorHint, "i2p": I2pHint, "unix": UnixHint, "unknown": UnknownHint}


@pytest.mark.parametrize("case", vectors.cases("hints"), ids=lambda case: case["text"][:40])
def test_a_hint_is_read_and_has_one_text(case: dict[str, Any]) -> None:
    found = hints.parse(case["text"])
    assert (type(found), str(found)) == (KINDS[case["kind"]], case["canonical"])
    assert hints.parse(str(found)) == found


@pytest.mark.parametrize("case", vectors.cases("hints"), ids=lambda case: case["text"][:40])
def test_from_where_an_address_means_the_same_is_known(case: dict[str, Any]) -> None:
    found = hints.parse(case["text"])
    assert hints.reach(found) is Reach(case["reach"])
    assert hints.may_be_announced(found) == (case["reach"] != "this machine")


@given(st.binary(min_size=32, max_size=32), st.integers(1, 65535))
def test_the_address_of_a_keys_onion_service_is_a_hint(key: bytes, port: int) -> None:
    found = hints.onion(PublicKey(key), port)
    assert hints.parse(str(found)) == found and found.port == port


@pytest.mark.parametrize("text", FILE["bad"], ids=lambda text: ascii(text)[:40])
def test_what_is_no_hint_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        hints.parse(text)


@pytest.mark.parametrize(
    "text",
    ["tor:expyuzz4wqqyqhjn.onion:80", f"i2p:{'a' * 56}.b32.i2p:80"],
)
def test_kinds_of_names_that_others_know_are_unsupported(text: str) -> None:
    with pytest.raises(Unsupported):
        hints.parse(text)


def test_a_changed_letter_of_an_onion_name_is_noticed() -> None:
    good = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd"
    for at in range(len(good)):
        for letter in "a7":
            changed = good[:at] + letter + good[at + 1 :]
            if changed != good:
                with pytest.raises(Malformed):
                    hints.parse(f"tor:{changed}.onion:80")


@given(st.text(max_size=60), st.sampled_from(["tcp:", "tor:", "i2p:", "unix:/", "x:", ""]))
def test_any_text_is_refused_or_comes_back_as_it_is_written(text: str, scheme: str) -> None:
    try:
        found = hints.parse(scheme + text)
    except Malformed:
        return
    assert hints.parse(str(found)) == found and len(str(found)) <= hints.MAX_TEXT


@given(st.ip_addresses(), st.integers(1, 65535))
def test_addresses_come_back_and_are_not_taken_for_names(address: Any, port: int) -> None:
    text = f"tcp:[{address}]:{port}" if address.version == 6 else f"tcp:{address}:{port}"
    if address.version == 6 and address.ipv4_mapped is not None:
        return
    found = hints.parse(text)
    assert isinstance(found, TcpHint) and (found.address, found.port, str(found)) == (address, port, text)
