"""Blind signatures: as RFC 9474 has them; who signs sees nothing; what was changed is none. REQUIREMENTS D19."""

import functools
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from commonhold.crypto import blind, blindsign
from commonhold.crypto.blindsign import Signer
from commonhold.formats.malformed import Malformed
from tests import vectors

FILE = json.loads((vectors.ROOT / "blinded.json").read_text())
CASES = FILE["cases"]


@functools.cache
def key() -> bytes:
    """The private key of the vectors, as DER."""
    p, q = (int(FILE["key"][name], 16) for name in "pq")
    d = pow(blind.EXPONENT, -1, (p - 1) * (q - 1))
    public = RSAPublicNumbers(blind.EXPONENT, p * q)
    numbers = RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@functools.cache
def signer() -> Signer:
    return Signer(key())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_step_is_the_one_that_another_program_computed(case: dict[str, str]) -> None:
    raw = {name: bytes.fromhex(text) for name, text in case.items() if name != "name"}
    assert signer().modulus.hex() == FILE["key"]["modulus"]
    draws = iter((raw["salt"], raw["drawn"]))
    prepared = raw["prefix"] + raw["message"]
    made = blind.blind(signer().modulus, prepared, lambda length: next(draws)[:length])
    assert made.blank == raw["blank"]
    assert signer().sign(made.blank) == raw["answer"]
    assert blind.finish(signer().modulus, made, raw["answer"]) == raw["signature"]
    assert blind.verify(signer().modulus, prepared, raw["signature"])


def test_a_signature_is_of_one_message_and_key_only() -> None:
    made = blind.blind(signer().modulus, b"p" * 32 + b"attic", os.urandom)
    found = blind.finish(signer().modulus, made, signer().sign(made.blank))
    assert blind.verify(signer().modulus, b"p" * 32 + b"attic", found)
    assert not blind.verify(signer().modulus, b"p" * 32 + b"cellar", found)
    assert not blind.verify(signer().modulus, b"q" * 32 + b"attic", found)
    other = (int.from_bytes(signer().modulus) - 2).to_bytes(384)
    assert not blind.verify(other, b"p" * 32 + b"attic", found)


def test_a_signature_that_was_changed_is_none() -> None:
    n = int.from_bytes(signer().modulus)
    made = blind.blind(signer().modulus, b"attic", os.urandom)
    found = blind.finish(signer().modulus, made, signer().sign(made.blank))
    number = int.from_bytes(found)
    for changed in (n - number, number * 2 % n, number * number % n, number + 1):
        assert not blind.verify(signer().modulus, b"attic", changed.to_bytes(384))
    for wrong in (b"", found[:-1], found + b"\0", bytes(384), b"\xff" * 384, (number + n).to_bytes(385)):
        assert not blind.verify(signer().modulus, b"attic", wrong)


def test_nothing_that_the_signer_saw_is_in_a_signature_and_any_blank_could_have_become_any() -> None:
    """For each blank and each signature there is one number that would have blinded the one to become the other."""
    n = int.from_bytes(signer().modulus)
    made = [blind.blind(signer().modulus, b"p%d" % one, os.urandom) for one in range(3)]
    seen = [(one.blank, signer().sign(one.blank)) for one in made]
    found = [blind.finish(signer().modulus, one, two[1]) for one, two in zip(made, seen, strict=True)]
    assert len({one.blank for one in made}) == 3
    for (blank, answer), signature in itertools.product(seen, found):
        r = int.from_bytes(answer) * pow(int.from_bytes(signature), -1, n) % n
        hidden = pow(int.from_bytes(signature), blind.EXPONENT, n)
        assert hidden * pow(r, blind.EXPONENT, n) % n == int.from_bytes(blank)


def test_one_message_is_blinded_in_another_way_each_time() -> None:
    assert len({blind.blind(signer().modulus, b"attic", os.urandom).blank for _ in range(4)}) == 4


def test_an_answer_that_is_not_the_signer_s_is_refused() -> None:
    made = blind.blind(signer().modulus, b"attic", os.urandom)
    right = signer().sign(made.blank)
    number = int.from_bytes(right)
    n = int.from_bytes(signer().modulus)
    for wrong in (b"", right[1:], right + b"\0", bytes(384), (n - number).to_bytes(384), signer().modulus):
        with pytest.raises(Malformed):
            blind.finish(signer().modulus, made, wrong)


def test_what_is_no_blank_is_not_signed() -> None:
    n = int.from_bytes(signer().modulus)
    for wrong in (
        b"",
        bytes(384),
        (1).to_bytes(384),
        (n - 1).to_bytes(384),
        n.to_bytes(384),
        b"\xff" * 384,
        b"a" * 383,
    ):
        with pytest.raises(Malformed):
            signer().sign(wrong)


def test_a_blank_has_one_answer_and_many_threads_get_it_at_once() -> None:
    blanks = [blind.blind(signer().modulus, b"%d" % one, os.urandom).blank for one in range(8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(signer().sign, blanks * 4))
    assert found == [signer().sign(blank) for blank in blanks] * 4


def test_a_faulty_machine_s_answer_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is right for one prime and wrong for the other gives both away."""
    blank = blind.blind(signer().modulus, b"attic", os.urandom).blank
    monkeypatch.setattr(Signer, "_powered", lambda self, asked: bytes(383) + b"\2")
    with pytest.raises(Malformed, match="faulty"):
        Signer(key()).sign(blank)


def test_what_is_no_private_key_is_refused() -> None:
    for wrong in (b"", b"nonsense", key()[:-1], key()[40:]):
        with pytest.raises(Malformed):
            Signer(wrong)


@pytest.mark.slow
def test_a_new_key_has_the_length_that_all_have() -> None:
    assert len(blindsign.modulus(blindsign.generate())) == 384
