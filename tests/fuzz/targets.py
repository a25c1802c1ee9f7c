"""One target a decoder: any bytes give a value or the decoder's own refusal. Anything else is a bug."""

import contextlib
import hashlib
import io
import struct
import tomllib
from collections.abc import Callable, Sequence
from itertools import count as counting
from typing import Any

from commonhold.api import Plan, Stream
from commonhold.authority.blessed import may_read, may_upload
from commonhold.authority.derived import Secret
from commonhold.authority.enrolling import Desk, Terms, asked, consider
from commonhold.authority.entering import Admitted, Door, knock, may_enter
from commonhold.authority.ledger import Ledger
from commonhold.authority.nonces import Given
from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.blockstore import layout, records
from commonhold.crypto import aead
from commonhold.crypto.aead import TAG, NumberedKey
from commonhold.crypto.statements import signed
from commonhold.erasure.layout import HEAD, pack_header, unpack_header
from commonhold.erasure.share import Share, verify
from commonhold.erasure.values import PackSeed, Place, Salt
from commonhold.errors import HoldError
from commonhold.formats import (
    address,
    announcement,
    blessing,
    blinded,
    capability,
    car,
    charge,
    chartertext,
    checkedtext,
    credential,
    dagcbor,
    dagpb,
    enrolwords,
    entry,
    fuse,
    gossip,
    hint,
    instant,
    invitation,
    ipns,
    journal,
    keylist,
    keys,
    link,
    multihash,
    pack,
    pin,
    relaywords,
    request,
    revocations,
    shareindex,
    shortcode,
    spots,
    storagewords,
    supplement,
    unixfs,
    varint,
)
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind, Statement, decode
from commonhold.gossip.machine import Machine
from commonhold.gossip.values import Config, Connected, Peer, Received, Tick
from commonhold.grids import editing, reading
from commonhold.ipc.treeframes import Broken, Incoming
from commonhold.mesh.framing import Frames
from commonhold.mount.replies import Lied
from commonhold.sealing import links, opening
from commonhold.sealing.block import Outer, sealed_size
from commonhold.sealing.seal import verify_key
from commonhold.transport import certificates, socks, torcontrol
from commonhold.unixfs import chunk, read
from commonhold.unixfs.nodes import children
from commonhold.unixfs.run import items, run
from commonhold.volume.journal import given
from tests import vectors
from tests.authority import parties
from tests.gossip.statements import EPOCH, GRID
from tests.mount.desks import Mount
from tests.mount.kernel import ALICE, SHIFT

_BY = {"blessing": "blesser", "credential": "blesser", "revocations": "blesser", "warrant": "client", "entry": "client"}
_BY["request"] = _BY["call"] = "server"
_WHOLE = {Kind(kind): vectors.whole(kind) for kind in _BY}
_SOUND = {kind: (_BY[kind], dagcbor.decode(_WHOLE[kind])["body"]) for kind in _WHOLE}
_SHOWN = (Kind.CREDENTIAL, Kind.ENTRY)
_TRUST = Trust((of_its_blesser(parties.grid()),))
_TERMS = Terms(parties.public("blesser"), Secret(bytes(32)))
_SERVER, _LINE = parties.pin("server"), parties.pin("node")
_DOOR = Door(_SERVER, parties.grid(), parties.rule())
_SIGNER = PublicKey.fromhex(vectors.cases("statements")[0]["key"])
_ATTIC, _LAN = parties.pin("attic"), TcpHint("192.168.1.5", 4444)
_LINKS = {"holdl1": 100, "holds1": 148, "holdk1": 64}  # bytes of each kind
_DIR = cids.make_v1(cids.DAG_PB, multihash.sha2_256(b""))


def _decoder(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with contextlib.suppress(Malformed, HoldError):
            decode(data)

    return target


def _reads(data: bytes) -> None:
    """A node whose every child is the node itself: what hostile graphs look like to a plan, for a few steps."""
    budget = 40

    def fetch(wanted: Sequence[cids.Cid]) -> list[bytes]:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise Malformed("test", "enough")
        return [data] * len(wanted)

    streams: list[Stream[Any]] = [read.listing(_DIR), read.extents(_DIR), read.walk(_DIR)]
    for stream in streams:
        budget = 40
        with contextlib.suppress(Malformed, HoldError):
            for number, _ in enumerate(items(stream, fetch)):
                if number > 2000:
                    break
    plans: list[Plan[Any]] = [read.stat(_DIR), read.resolve(_DIR, ["a", "b"])]
    for plan in plans:
        budget = 40
        with contextlib.suppress(Malformed, HoldError):
            run(plan, fetch)


def _car(data: bytes) -> None:
    for section in car.Reader(io.BytesIO(data)):
        len(section.data)


def _record(data: bytes) -> None:
    key = bytes(32)
    assert records.unpack_header(key, data) is None  # nobody forges a keyed digest
    for unpack in (layout.unpack_members, layout.unpack_pin, layout.unpack_drop, layout.unpack_rename):
        with contextlib.suppress(Malformed):
            unpack(data)
    for stream in (layout.unpack_table(data, 1 << 20), layout.unpack_gone(data), layout.unpack_keys(data)):
        with contextlib.suppress(Malformed):
            list(stream)


def _sealed(data: bytes) -> None:
    """A sealed block whose maker put any bytes into body and outer rows: keys protect from others, not from makers."""
    key, digest, rows = bytes(32), hashlib.sha256(data).digest(), data[0] % 4 if data else 0
    below = verify_key(key, rows)
    cut = len(data) - 68 * rows
    bodies = [data[1:cut], data[1:cut] + bytes(sealed_size(max(0, len(data) - 112 * rows), rows)) + data[-16:]]
    for body in bodies:
        block = aead.seal(key, body) + (aead.seal(below, data[cut:]) if rows and cut > 0 else b"")
        for sealed in (block, data):
            with contextlib.suppress(Malformed):
                opening.open_root(sealed, ReadCapability(digest, rows, key))
            with contextlib.suppress(Malformed):
                opening.check_unread(sealed, VerifyCapability(digest, rows, below))


def _pack(data: bytes) -> None:
    """A table and its blocks, the bytes as they are and as rows; what is found is what would be written."""
    for table in (data, b"hpk1" + struct.pack("<II", max(1, len(data) // 35), len(data)) + data):
        for size in {len(data), len(table), len(table) + 300}:
            with contextlib.suppress(Malformed):
                found = pack.decode_table(table, size)
                entries = [pack.Entry(key, stop - start) for key, start, stop in found]
                assert table.startswith(pack.encode_table(entries))


def _share(data: bytes) -> None:
    """A share that somebody with the seed wrote: any header, any whole share, any pieces of a share that is sound."""
    seed, place = PackSeed(bytes(32)), Place(SpkiPin(bytes(32)), Salt(bytes(16)))
    key = NumberedKey(seed.key(place))
    for head in (data[:HEAD], place.salt + key.seal(0, data[:16])):
        with contextlib.suppress(Malformed):
            share = Share(seed, place.server, head)
            layout = share.layout
            assert unpack_header(pack_header(layout, share.number)) == (layout, share.number)
            assert layout.part(layout.segments - 1).stop == layout.body < share.length
            for sealed in (data, key.seal(1, data)):
                if len(sealed) == layout.piece(0) + TAG:
                    share.open(0, memoryview(sealed), memoryview(bytearray(layout.piece(0))))
    with contextlib.suppress(Malformed):
        verify(seed, place.server, memoryview(data))


def _relinked(data: bytes) -> None:
    """A node whose content is anything, with as many rows as it has links, and with one more."""
    row = Outer(bytes(32), 0, bytes(32))
    for count in {len(links.targets(data)), 1}:
        with contextlib.suppress(Malformed):
            children(_DIR, links.relink(data, [(bytes(32), 1)] * count, [row] * count))


def _fuse(data: bytes) -> None:
    """Any bytes; any body behind a header that is right, but for the length of extensions."""
    opcode, extra, body = data[:1], data[1:2], data[2:]
    head = (40 + len(body), sum(opcode) % 56, 2, 1, 0, 0, 1, max(0, sum(extra) % 8 - 4))
    with contextlib.suppress(Malformed):
        fuse.parse(struct.pack("<IIQQIIIH2x", *head) + body)
    fuse.parse(data)


class _Pieces:
    """Bytes that come by a socket, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv_into(self, view: memoryview, size: int = 0, flags: int = 0) -> int:
        count = min(len(view), len(self._data), 1 + len(self._data) // 3)
        view[:count], self._data = self._data[:count], self._data[count:]
        return count


def _frames(data: bytes) -> None:
    """Any bytes of an agent's; and any behind a head that is right."""
    for said in (data, struct.pack("<IIQHBB", len(data) // 2, len(data) - len(data) // 2, 2, 1, 0, 0) + data):
        incoming, pieces = Incoming(), _Pieces(said)
        with contextlib.suppress(Broken):
            while incoming.fill(pieces):  # type: ignore[arg-type]
                for frame in incoming.frames():
                    assert len(frame.body) + len(frame.payload) <= len(said)


_ASKED = [bytes.fromhex(case["hex"]) for case in vectors.cases("fuse-requests") if "request" in case]


def _desk(data: bytes) -> None:
    """A request of the kernel's and any answer to it; any request. Whoever asked is told one thing."""
    mount = Mount(ALICE)
    mount.root(ALICE)
    with contextlib.suppress(Malformed):
        mount.desk.ask(memoryview(data))
    raw = bytearray(_ASKED[int.from_bytes(data[:2], "little") % len(_ASKED)])
    raw[16:24] = (3 << SHIFT | 7).to_bytes(8, "little")
    raw[24:32] = struct.pack("<II", ALICE, ALICE)
    mount.calls.clear()
    mount.desk.ask(memoryview(raw))
    for call in [call for call in mount.calls if call.id]:
        before = len(mount.replies)
        code, cut = sum(data[2:3]) % 8, sum(data[3:4])
        with contextlib.suppress(Lied):
            mount.say(ALICE, call.id, code, data[4 + cut :], data[4 : 4 + cut])
        assert len(mount.replies) == before + 1
    with contextlib.suppress(Lied):
        mount.say(ALICE, 0, sum(data[:1]) % 4, data[1:])


def _journal(data: bytes) -> None:
    """Any bytes behind a header; any body of any call."""
    header = journal.pack_header(journal.Header(bytes(16), bytes(16), 1, bytes(8)))
    chain = header[: journal.SUM]
    said = journal.pack(chain, sum(data[:1]) % 20, 0, 0, data[1:])
    for behind in (data, said, said + data):
        for group in journal.groups(header, io.BytesIO(behind).read):
            for record in group.records:
                with contextlib.suppress(Malformed):
                    given(record)
    journal.parse_header(data)


def _ipns(data: bytes) -> None:
    """A record that is read says what can be written again, and reads the same."""
    record = ipns.decode(data)
    try:
        raw = ipns.encode(record.claims, record.signature, b"")
    except Malformed:  # others may write larger numbers than we do
        return
    try:
        assert ipns.decode(raw).claims == record.claims
    except Malformed as error:
        raise AssertionError("what was written is not read") from error


_SAID: dict[Kind, Callable[[Statement], Any]] = {
    Kind.ANNOUNCEMENT: announcement.parse,
    Kind.BLESSING: blessing.parse,
    Kind.CREDENTIAL: credential.parse,
    Kind.WARRANT: credential.parse_warrant,
    Kind.ENTRY: entry.parse,
    Kind.REVOCATIONS: revocations.parse,
    Kind.REQUEST: request.parse,
    Kind.CALL: relaywords.parse_call,
}


def _statement(data: bytes) -> None:
    """A statement that is read comes back as it was; a body, of whatever was read, too, but for what nobody knows."""
    for kind, parse in _SAID.items():
        with contextlib.suppress(Malformed):
            found = decode(kind, data)
            assert found.encoded == data
            parse(found)
        for key in (PublicKey(data[:32].ljust(32, b"\0")), _SIGNER):
            with contextlib.suppress(Malformed):
                said = parse(Statement(kind, key, data, bytes(64)))
                assert parse(Statement(kind, key, said.body, bytes(64))) == said


def _trusted(data: bytes) -> None:
    """Sound bodies with some bytes changed, well signed by those who count: whoever decides answers or refuses."""
    said = {}
    for kind, (by, body) in _SOUND.items():
        at, changed = int.from_bytes(data[:2], "big") % len(body), data[2:40]
        body = body[:at] + changed + body[at + len(changed) :]
        said[kind] = signed(kind, body, parties.seed(by)).encoded
    known = parties.lists()
    with contextlib.suppress(Malformed):
        known.take(said[Kind.REVOCATIONS])
    for now in (1_700_000_001, 0, 1 << 63):
        for ask in (may_upload, may_read):
            assert ask(parties.candidate(said[Kind.BLESSING], server=_SERVER), _TRUST, known, now).lines
        for kinds in ((Kind.CREDENTIAL,), (Kind.ENTRY,), (Kind.CREDENTIAL, Kind.ENTRY, Kind.WARRANT)):
            credential_, entry_ = (said[kind] if kind in kinds else _WHOLE[kind] for kind in _SHOWN)
            with contextlib.suppress(Malformed):
                warrant_ = said[Kind.WARRANT] if Kind.WARRANT in kinds else None
                shown = knock(_LINE, [credential_], entry_, warrant_)
                assert may_enter(_DOOR, shown, Given(shown.nonce, _LINE, now), known, now)
        with contextlib.suppress(Malformed):
            desk = Desk(Ledger(parties.grid()), _TERMS, now, counting())
            assert consider(desk, *asked(said[Kind.REQUEST]))


def _known_servers(data: bytes) -> None:
    """A file is read or refused by its clauses; an override that is changed says what was asked, and nothing else."""
    reading.cache(_ATTIC, data)
    before = reading.override(data)
    with contextlib.suppress(Malformed):
        found = reading.override(editing.changed(data, _ATTIC, "attic", (_LAN,), False))
        local = found.clauses[_ATTIC].local
        assert local.hints is not None and local.hints.value == (_LAN,)
        assert set(found.clauses) - {_ATTIC} == set(before.clauses) - {_ATTIC}
    with contextlib.suppress(Malformed):
        assert _ATTIC not in reading.override(editing.cleared(data, _ATTIC)).clauses


def _pin(data: bytes) -> None:
    """A text that is read is the one text of its bytes."""
    text = data.decode("latin-1")
    for parse in (pin.parse_pin, pin.parse_grid):
        with contextlib.suppress(Malformed):
            assert str(parse(text)) == text


def _hint(data: bytes) -> None:
    """A hint that is read has one text, and says from where it means the same."""
    found = hint.parse(data.decode("latin-1"))
    assert hint.parse(str(found)) == found
    hint.reach(found)


def _address(data: bytes) -> None:
    """An address that is read has one text."""
    found = address.parse(data.decode("latin-1"))
    assert address.parse(str(found)) == found


def _gossip_stream(data: bytes) -> None:
    """A stream gives the same messages however it is cut, and is refused at the same place."""
    found = []
    for step in (len(data) or 1, 3):
        frames, messages = Frames(), list[bytes | None]()
        try:
            for at in range(0, len(data), step):
                messages += frames.feed(data[at : at + step])
        except Malformed:
            messages.append(None)
        found.append(messages)
    assert found[0] == found[1]


def _socks(data: bytes) -> None:
    """Whatever a proxy says, as many bytes of it as are asked for."""
    for login in (None, socks.Login("user", "password")):
        talk, left = socks.connect("attic.example", 80, login), data
        with contextlib.suppress(Malformed, socks.Refused, StopIteration):
            _, count = next(talk)
            while len(left) >= count:
                said, left = left[:count], left[count:]
                _, count = talk.send(said)


def _torcontrol(data: bytes) -> None:
    """Whatever answers in the place of Tor's control port; who does not know the cookie gets no further."""
    talk = torcontrol.publish(bytes(32), bytes(32), torcontrol.Service(keys.Seed(bytes(32)), 80, hint.UnixHint("/x")))
    next(talk)
    with contextlib.suppress(Malformed, torcontrol.Refused):
        for reply in torcontrol.Replies().feed(data):
            talk.send(reply)
            raise AssertionError("it has guessed the proof")


def _storagewords(data: bytes) -> None:
    """As each of them."""
    for take in (
        storagewords.decode_nonce,
        storagewords.decode_showing,
        storagewords.decode_admission,
        storagewords.decode_begin,
        lambda raw: storagewords.decode_received(raw, 1 << 27),
        storagewords.decode_finish,
        storagewords.decode_indexes,
        storagewords.decode_renewal,
        lambda raw: storagewords.decode_sizes(raw, 2),
        storagewords.decode_listing,
        storagewords.decode_listed,
        storagewords.decode_use,
        storagewords.decode_verdict,
        storagewords.decode_failure,
    ):
        with contextlib.suppress(Malformed):
            take(data)


def _gossip(data: bytes) -> None:
    """What is read is written and read the same; a machine takes it from whoever has said hello, and goes on."""
    with contextlib.suppress(Malformed):
        message = gossip.decode(data)
        assert gossip.decode(gossip.encode(message)) == message
    for introducer in (True, False):
        machine = Machine(Config(frozenset((GRID,)), introducer), lambda: 0.5, float(EPOCH))
        machine.step(Connected(Peer(1), SpkiPin(bytes(32)), True), EPOCH)
        machine.step(Received(Peer(1), gossip.encode(gossip.Hello(True, (GRID,)))), EPOCH)
        machine.step(Received(Peer(1), data), EPOCH)
        machine.step(Tick(), EPOCH + 30)


def _invitation(data: bytes) -> None:
    """An invitation that is read is written and read the same, and so is its charter as a text."""
    found = invitation.decode(data)
    assert invitation.decode(found.encoded) == invitation.parse(found.text) == found
    table = tomllib.loads(chartertext.text(found.charter))
    assert chartertext.parse(found.charter.name, table) == found.charter


def _link(data: bytes) -> None:
    """A link, sealed or not, and a receiving key; also of the right length and checksum, with any bytes in it."""
    body = data.ljust(148, b"\0")[:148]
    for text in (data.decode("latin-1"), *(checkedtext.encode(prefix, body[:size]) for prefix, size in _LINKS.items())):
        for parse in (link.parse, link.parse_key):
            with contextlib.suppress(Malformed):
                assert str(parse(text)) == text
                assert link.is_secret(text) is (parse is link.parse)


def _charge(data: bytes) -> None:
    """What is read is written and read the same."""
    found = charge.decode(data)
    assert charge.decode(found.encoded) == found


def _codes(data: bytes) -> None:
    """Codes of either kind, and what a blesser and a joiner say to each other."""
    text = data.decode("latin-1")
    for parse in (invitation.parse, shortcode.parse):
        with contextlib.suppress(Malformed):
            parse(text)
            assert shortcode.parse(f"7-quiet-harbour-lantern@{text}").plate == 7
    for take in (
        enrolwords.decode_answer,
        enrolwords.decode_blinded,
        enrolwords.decode_opening,
        enrolwords.decode_reply,
        enrolwords.decode_proof,
        enrolwords.decode_sealed,
    ):
        with contextlib.suppress(Malformed):
            take(data)


def _blinded(data: bytes) -> None:
    """A mint, a token, terms: what is read is written the same; at a door a token of anything is let in by nobody."""
    readers: tuple[Callable[[bytes], Any], ...] = (blinded.parse_mint, blinded.parse_token, blinded.parse_terms)
    for parse in readers:
        with contextlib.suppress(Malformed):
            assert parse(parse(data).encoded) == parse(data)
    parts = [data[at : at + 32].ljust(32, b"\0") for at in range(0, 160, 32)]
    token = blinded.Token(
        parties.grid(), SpkiPin(parts[1]), PublicKey(parts[2]), PublicKey(parts[3]), blinded.MintId(parts[4]), parts[0],
        data[:384].ljust(384, b"\0"),
    )  # fmt: skip
    shown = knock(_LINE, [token.encoded], _WHOLE[Kind.ENTRY])
    given = Given(shown.nonce, _LINE, 1_700_000_001)
    assert not isinstance(may_enter(_DOOR, shown, given, parties.lists(), 1_700_000_001), Admitted)


def _relaywords(data: bytes) -> None:
    """What a relay says, and how a server answers it."""
    with contextlib.suppress(Malformed):
        assert relaywords.preface(relaywords.decode_preface(data)) == data
    found = relaywords.decode(data)
    assert relaywords.decode(found.encoded) == found


TARGETS: dict[str, Callable[[bytes], None]] = {
    "invitation": _decoder(_invitation),
    "blinded": _blinded,
    "charge": _decoder(_charge),
    "codes": _codes,
    "gossip": _gossip,
    "relaywords": _decoder(_relaywords),
    "varint": _decoder(lambda data: varint.decode(data, 0)),
    "multihash": _decoder(lambda data: multihash.parse(data)),
    "cid": _decoder(cids.parse),
    "cid-text": _decoder(lambda data: cids.parse_text(data.decode("latin-1"))),
    "dag-pb": _decoder(dagpb.decode),
    "unixfs": _decoder(unixfs.decode),
    "dag-cbor": _decoder(dagcbor.decode),
    "supplement": _decoder(supplement.decode),
    "dag-json": _decoder(dagcbor.from_json),
    "links": _decoder(lambda data: children(_DIR, data)),
    "car": _decoder(_car),
    "journal": _decoder(_journal),
    "fuse": _decoder(_fuse),
    "frames": _frames,
    "desk": _desk,
    "keylist": _decoder(keylist.unpack),
    "spots": _decoder(spots.unpack),
    "reads": _reads,
    "records": _record,
    "link": _link,
    "capability": _decoder(lambda data: capability.parse_text(data.decode("latin-1"))),
    "sealed": _decoder(_sealed),
    "pack": _pack,
    "share": _share,
    "statement": _statement,
    "known-servers": _known_servers,
    "pin": _pin,
    "trusted": _trusted,
    "relinked": _decoder(_relinked),
    "ipns": _decoder(_ipns),
    "ipns-name": _decoder(lambda data: str(ipns.parse_name(data.decode("latin-1")))),
    "instant": _decoder(lambda data: instant.parse_rfc3339(data.decode("latin-1"))),
    "hint": _decoder(_hint),
    "address": _decoder(_address),
    "gossip-stream": _gossip_stream,
    "socks": _socks,
    "torcontrol": _torcontrol,
    "certificate": lambda data: (certificates.public_key(data), None)[1],
    "public-key": _decoder(keys.decode_public),
    "private-key": _decoder(keys.decode_private),
    "pem": _decoder(keys.decode_pem),
    "storagewords": _storagewords,
    "share-index": _decoder(lambda data: shareindex.parse(data.decode("latin-1"))),
    "chunker": _decoder(lambda data: chunk.parse_chunker(data.decode("latin-1"))),
}
