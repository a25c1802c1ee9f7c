"""Who is at the other end is known before a byte of what is meant for it goes out. Certificates say nothing else."""

import asyncio
import datetime
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.transport import certificates, dial, tls
from commonhold.transport.certificates import Identity
from commonhold.transport.tls import PinnedContext, WrongPeer
from tests.opened import left_open, opened
from tests.transport.ends import OTHER, PIN, SEED, dialled, run, serving, soon
from tests.transport.wire import ALERT, HANDSHAKE, relay

Change = Callable[[ssl.SSLContext], None]


def test_a_server_with_another_key_receives_nothing_but_the_greeting() -> None:
    served: list[str] = []

    async def note(request: web.Request) -> web.Response:
        served.append(request.path)
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_route("*", "/{all:.*}", note)
        async with serving(app) as (hint, visitors), relay(hint) as (through, seen):
            with pytest.raises(dial.NotReached) as refused:
                async with dialled(through, server=OTHER) as connection:
                    await connection.ping()
            assert refused.value.attempts[0].kind is Kind.DENIED and str(PIN) in str(refused.value)
            await soon(lambda: len(visitors) == 0)
            assert [record for record in seen[0].sent() if record != ALERT] == [HANDSHAKE]  # its ClientHello
        assert served == []

    run(work())


def test_the_first_byte_that_is_meant_for_a_server_waits_for_its_key() -> None:
    sizes: list[int] = []

    async def work() -> None:
        async with serving() as (hint, _), relay(hint) as (through, seen):
            for pin in (OTHER, PIN):
                try:
                    async with dialled(through, server=pin) as connection:
                        await connection.ping()
                except dial.NotReached:
                    pass
            sizes.extend(len(one.up) for one in seen)

    run(work())
    assert sizes[0] < 600 < sizes[1]  # the relay counts what does go out


def test_pins_are_checked_on_the_standard_loop_too() -> None:
    async def work() -> None:
        async with serving() as (hint, _), relay(hint) as (through, seen):
            async with dialled(through) as connection:
                await connection.ping()
            with pytest.raises(dial.NotReached):
                async with dialled(through, server=OTHER):
                    pass
            assert [record for record in seen[1].sent() if record != ALERT] == [HANDSHAKE]

    with asyncio.Runner() as runner:
        runner.run(work())


def test_pins_are_checked_on_plain_sockets_too() -> None:
    here, there = socket.socketpair()
    received: list[bytes] = []

    def serve() -> None:
        try:
            with tls.server_context(SEED).wrap_socket(there, server_side=True) as sock:
                received.append(sock.recv(100))
        except OSError as error:
            received.append(type(error).__name__.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    with here, pytest.raises(WrongPeer):
        tls.client_context(Seed(bytes(32)), OTHER).wrap_socket(here)
    thread.join()
    assert received in ([b""], [b"SSLError"], [b"ConnectionResetError"])  # not a byte of what would have come


# ── clients that a server must not serve ──


def shaken(context: ssl.SSLContext) -> str:
    """What a server that answers everybody does for a client with this context: `served`, or why not."""

    async def work() -> str:
        async with serving() as (hint, visitors):
            try:
                reader, writer = await asyncio.open_connection(hint.host, hint.port, ssl=context, server_hostname="")
                writer.write(b"GET /ping HTTP/1.1\r\nHost: hold\r\n\r\n")
                head = await reader.read(100)
                writer.close()
                await soon(lambda: len(visitors) == 0)
                return "served" if b" 204 " in head else repr(head)
            except OSError as error:
                return repr(error)

    return run(work())


def bare(change: Change = lambda context: None) -> ssl.SSLContext:
    """A client's context that asks nothing of a server, as anybody could make one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    change(context)
    return context


def showing(certificate: x509.Certificate, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, path: Path) -> Change:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return lambda context: context.load_cert_chain(path)


def made(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    signer: Ed25519PrivateKey,
    issuer: x509.Name,
    until: int = 2100,
) -> x509.Certificate:
    """A certificate as a stranger could make it."""
    begin, end = datetime.datetime(1990, 1, 1), datetime.datetime(until, 1, 1)
    return x509.CertificateBuilder(issuer, x509.Name([]), key.public_key(), 7, begin, end).sign(signer, None)


NULL_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "null")])
NULL_KEY = Ed25519PrivateKey.from_private_bytes(certificates.NULL_CA.raw)


def test_a_client_that_shows_no_key_is_refused() -> None:
    assert shaken(bare()) != "served"


def test_a_client_whose_certificate_is_its_own_is_refused(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    assert shaken(bare(showing(made(key, key, x509.Name([])), key, tmp_path / "pem"))) != "served"


def test_a_client_with_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert shaken(bare(showing(made(key, NULL_KEY, NULL_NAME), key, tmp_path / "pem"))) != "served"


@pytest.mark.parametrize("until", [1991, 2100])
def test_what_a_clients_certificate_says_of_time_does_not_matter(tmp_path: Path, until: int) -> None:
    key = Ed25519PrivateKey.generate()
    assert shaken(bare(showing(made(key, NULL_KEY, NULL_NAME, until), key, tmp_path / "pem"))) == "served"


@pytest.mark.parametrize(("version", "good"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
def test_a_client_below_tls_13_is_refused(tmp_path: Path, version: ssl.TLSVersion, good: bool) -> None:
    def old(context: ssl.SSLContext) -> None:
        identity(tmp_path / "pem", certificates.client(SEED))(context)
        context.maximum_version = version

    assert (shaken(bare(old)) == "served") is good


# ── servers that a client must not talk to, or may ──


def served_by(change: Change) -> str:
    """What a client makes of a TLS server that is not ours: `reached`, or why not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    change(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def work() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        try:
            async with dialled(TcpHint(*server.sockets[0].getsockname()[:2])) as connection:
                await connection.ping()
                return "reached"
        except HoldError as error:
            return error.why
        finally:
            server.close()

    return run(work())


def identity(path: Path, identified: Identity) -> Change:
    path.write_bytes(identified.key + identified.certificate)
    return lambda context: context.load_cert_chain(path)


@pytest.mark.parametrize(("version", "good"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
def test_a_server_below_tls_13_is_refused(tmp_path: Path, version: ssl.TLSVersion, good: bool) -> None:
    def old(context: ssl.SSLContext) -> None:
        identity(tmp_path / "pem", certificates.server(SEED))(context)
        context.maximum_version = version

    assert (served_by(old) == "reached") is good


def test_what_a_servers_certificate_says_does_not_matter_but_its_key(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED.raw)
    somebody = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody.example")])
    for number, certificate in enumerate((made(key, NULL_KEY, somebody, 1991), made(key, key, somebody))):
        assert served_by(showing(certificate, key, tmp_path / str(number))) == "reached"


def test_a_server_with_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert "no Ed25519 key" in served_by(showing(made(key, NULL_KEY, NULL_NAME), key, tmp_path / "pem"))


def test_a_server_cannot_show_a_certificate_whose_key_it_does_not_have(tmp_path: Path) -> None:
    right, mine = certificates.server(SEED), certificates.server(Seed(bytes(32)))
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        identity(tmp_path / "pem", Identity(mine.key, right.certificate))(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


# ── keys and sessions ──


def test_a_key_is_in_memory_only(tmp_path: Path) -> None:
    before = opened()
    contexts = [tls.server_context(SEED), tls.client_context(SEED, PIN)]
    assert left_open(before) == []  # OpenSSL read it from memory that is closed again
    assert all(context.own == PIN for context in contexts)
    assert SEED.raw.hex() not in repr((contexts, certificates.client(SEED)))


def test_a_key_that_openssl_does_not_take_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened()
    monkeypatch.setattr(certificates, "client", lambda seed: Identity(b"no key", b""))
    with pytest.raises(ssl.SSLError):
        tls.client_context(SEED, PIN)
    assert left_open(before) == []


def test_no_file_is_made_for_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D2."""
    read: list[str] = []
    load = PinnedContext.load_cert_chain

    def noted(context: PinnedContext, path: str) -> None:
        read.append(os.readlink(path))
        load(context, path)

    monkeypatch.setattr(PinnedContext, "load_cert_chain", noted)
    tls.client_context(SEED, PIN)
    assert read == ["/memfd: (deleted)"]


def test_no_session_is_offered_to_be_taken_up_again() -> None:
    here, there = socket.socketpair()
    context = tls.server_context(SEED)

    def serve() -> None:
        with context.wrap_socket(there, server_side=True) as sock:
            sock.send(b"x")
            sock.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with tls.client_context(Seed(bytes(32)), PIN).wrap_socket(here) as sock:
        assert sock.recv(1) == b"x"
        assert sock.session is None or not sock.session.has_ticket
        assert (sock.version(), sock.selected_alpn_protocol()) == ("TLSv1.3", None)
    thread.join()


def test_a_certificate_that_is_none_has_no_key() -> None:
    good = certificates.server(SEED).certificate
    der = ssl.PEM_cert_to_DER_cert(good.decode())
    assert certificates.public_key(der) is not None
    for wrong in (b"", b"x", der[:-1], der[:40], der + bytes(certificates.MAX_CERTIFICATE)):
        assert certificates.public_key(wrong) is None
