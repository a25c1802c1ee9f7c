"""`make fuzz`: every target for a share of the time, on mutations of the vectors. A bug is written down and ends it."""

import base64
import hashlib
import json
import random
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import Any

from commonhold.formats import dagcbor, invitation
from commonhold.formats.keys import Seed, encode_pem
from commonhold.ipc.treewords import encode
from commonhold.mesh.framing import framed
from commonhold.transport import certificates
from tests import vectors
from tests.fuzz.targets import TARGETS

_ATTR = (7, 0o100644, 1, "alice@home", "alice@home", 5, 8, 1 << 60, 1, 1, 1, 0)
ANSWERS: list[Any] = [
    _ATTR,
    [(b"name", 1, 7, 0o100644, _ATTR)],
    [(b"name", 1, 7, 0, None)],
    [b"user.a"],
    (9, 8, 7, 6),
    5,
]
KNOWN_SERVERS = Path(__file__).parent.parent / "fixtures" / "known-servers-1"
CRASHES = Path(__file__).parent / "crashes"


def seeds() -> list[bytes]:
    """Sound inputs to start from."""
    found = [b"", b"\0", b"size-1", b"cdc-64-128-256"]
    found += [bytes.fromhex(case["hex"]) for name in ("dagpb", "dagcbor") for case in vectors.cases(name)]
    found += [case["json"].encode() for case in vectors.cases("dagcbor")]
    found += [base64.b64decode(case["car"]) for case in vectors.cases("car")]
    found += [base64.b64decode(case["record"]) for name in ("ipns", "ipns-published") for case in vectors.cases(name)]
    for key in json.loads((vectors.ROOT / "ipns.json").read_text())["keys"]:
        found += [
            bytes.fromhex(key["public"]),
            bytes.fromhex(key["private"]),
            key["name"].encode(),
            key["peer"].encode(),
        ]
    found += [bytes.fromhex(case["hex"]) for case in vectors.cases("storagewords")]
    found += [b"2126-11-21T00:00:00.123456789Z", encode_pem(Seed(bytes(32)))]
    found += [case["text"]["base58btc"].encode() for case in vectors.cases("cid")]
    found += [bytes.fromhex(case["hex"]) for case in vectors.cases("fuse-requests")]
    found += [b"abcd" + encode(said) for said in ANSWERS]
    found += [bytes.fromhex(case["table"]) for case in vectors.cases("pack")]
    found += [
        bytes.fromhex(row["share"]) for case in vectors.cases("share") for row in case["shares"] if "share" in row
    ]
    found += [struct.pack("<BBBBIQ", 1, 3, 5, 2, 1 << 20, 1 << 20), struct.pack("<BBBBIQ", 1, 1, 1, 0, 4096, 50)]
    statements = [base64.b64decode(case["data"]) for case in vectors.cases("statements") if "says" in case]
    found += statements + [dagcbor.decode(data)["body"] for data in statements]
    found += [path.read_bytes() for path in sorted(KNOWN_SERVERS.iterdir())]
    for key in json.loads((vectors.ROOT / "statements.json").read_text())["keys"]:
        found += [key["pin"].encode(), key["grid"].encode()]
    found += [case["text"].encode("latin-1") for name in ("hints", "addresses") for case in vectors.cases(name)]
    found += [b"\x05\x02\x01\x00\x05\x00\x00\x03\x09" + bytes(11), b"\x05\x00\x05\x00\x00\x01" + bytes(6)]
    found += [ssl.PEM_cert_to_DER_cert(certificates.server(Seed(bytes(32))).certificate.decode())]
    found += [bytes.fromhex(case["hex"]) for case in vectors.cases("gossip")]
    codes = json.loads((vectors.ROOT / "invitations.json").read_text())
    found += [case["text"].encode() for kind in ("long", "short") for case in codes[kind] if "why" not in case]
    found += [invitation.parse(case["text"]).encoded for case in codes["long"] if "why" not in case]
    messages = [bytes.fromhex(case["hex"]) for case in vectors.cases("gossip")]
    found += [*messages, b"".join(map(framed, (*messages, b"")))]
    sealed = vectors.cases("sealing")
    found += [case[kind].encode() for case in sealed for kind in ("read", "verify")]
    found += [bytes.fromhex(block["sealed"]) for case in sealed for block in case["blocks"] if "sealed" in block]
    found += [bytes([block["n"]]) + _body(block) for case in sealed for block in case["blocks"] if "content" in block]
    return found


def _body(block: dict[str, Any]) -> bytes:
    """What a sealed block has inside."""
    before, after = (
        bytes.fromhex("".join(block[name] for name in names)) for names in (("content", "inner"), ("header", "outer"))
    )
    return before + bytes(block["zeros"]) + after


def mutate(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """A few edits of the kinds that decoders get wrong: flips, lengths, cuts, splices, repeats."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at % len(out)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.randint(1, 9))
        elif kind == 3:
            del out[at : at + rng.randint(1, 16)]
        elif kind == 4:
            other = rng.choice(corpus)
            out[at:at] = other[rng.randrange(len(other) + 1) :][:200]
        else:
            out[at:at] = out[at : at + rng.randint(1, 40)] * rng.choice([1, 2, 50])
    return bytes(out[:100_000])


def main() -> int:
    """Fuzz; 1 if a bug was found."""
    share = float(sys.argv[1]) / len(TARGETS)
    seed = int(time.time())
    rng = random.Random(seed)
    corpus = seeds()
    sys.stdout.write(f"seed {seed}, {share:.0f} s a target\n")
    for name, target in TARGETS.items():
        end, runs = time.monotonic() + share, 0
        while time.monotonic() < end:
            data = mutate(rng, rng.choice(corpus), corpus)
            runs += 1
            try:
                target(data)
            except BaseException as error:  # noqa: BLE001  (whatever else comes is the bug that is looked for)
                CRASHES.mkdir(exist_ok=True)
                path = CRASHES / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
                path.write_bytes(data)
                sys.stdout.write(f"{name}: {type(error).__name__}: {error}: {path}\n")
                return 1
        sys.stdout.write(f"{name}: {runs} runs\n")
    sys.stdout.write("no bug found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
