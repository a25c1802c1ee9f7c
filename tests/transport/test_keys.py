"""REQUIREMENTS D15: the key that is made for each connection is of a kind that costs next to nothing to make."""

import os
import statistics
import time
from collections.abc import Callable

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from commonhold.formats.keys import Seed
from commonhold.transport import certificates, tls
from commonhold.transport.connection import Connection
from tests.transport.ends import PIN, SEED, dialled, run, serving

CONNECTIONS = 4
SAMPLES = 9
TIMES = 4  # how many times dearer the yardstick is at least: it is some thirty


def test_d15_each_connection_has_a_key_of_its_own_and_none_is_rsa() -> None:
    """As the other end sees it."""
    seen: list[bytes] = []

    async def look(request: web.Request) -> web.Response:
        seen.append(request.get_extra_info("ssl_object").getpeercert(binary_form=True))
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/look", look)
        async with serving(app) as (hint, _):
            for _ in range(CONNECTIONS):
                async with dialled(hint) as connection:
                    await _asked(connection)

    run(work())
    keys = [x509.load_der_x509_certificate(one).public_key() for one in seen]
    assert len({key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in keys}) == CONNECTIONS
    assert all(_is_cheap(key) for key in keys)


async def _asked(connection: Connection) -> None:
    async with connection.request("GET", "/look") as answer:
        assert answer.status == 200


def _is_cheap(key: object) -> bool:
    if isinstance(key, EllipticCurvePublicKey):
        return isinstance(key.curve, SECP256R1)
    return isinstance(key, Ed25519PublicKey)


@pytest.mark.parametrize("made", [certificates.server, certificates.client])
def test_d15_what_a_server_or_a_client_shows_is_no_rsa_key(made: Callable[[Seed], certificates.Identity]) -> None:
    assert _is_cheap(x509.load_pem_x509_certificate(made(SEED).certificate).public_key())


def test_d15_key_certificate_and_context_cost_a_fraction_of_an_rsa_key() -> None:
    """CPU seconds of this thread, both in this run: how busy the machine is makes no difference."""

    def ours() -> None:
        tls.client_context(Seed(os.urandom(32)), PIN)

    def yardstick() -> None:
        rsa.generate_private_key(public_exponent=65537, key_size=2048)

    ours()  # what is made once for all
    assert TIMES * _seconds(ours) < _seconds(yardstick)


def _seconds(work: Callable[[], None]) -> float:
    found = []
    for _ in range(SAMPLES):
        begun = time.thread_time()
        work()
        found.append(time.thread_time() - begun)
    return statistics.median(found)
