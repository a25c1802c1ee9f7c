"""Makes vectors/gossip.json: `python -m tests.gossip.make_vectors > vectors/gossip.json`."""

import json
import sys

from commonhold.formats import dagcbor
from commonhold.formats import gossip as wire
from commonhold.formats.blessing import STORAGE
from commonhold.formats.gossip import (
    FIRST,
    Digest,
    Have,
    Hello,
    Listing,
    Message,
    Part,
    Range,
    Ranges,
    Records,
    Slot,
    Subscribe,
    Subscription,
    Want,
)
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Reader
from commonhold.gossip.reconcile import Ids
from tests.gossip.statements import GRID, announced, key, revoked


def messages() -> dict[str, Message]:
    """One message of each type, by its name."""
    reader = Reader()
    one = reader.read(Kind.ANNOUNCEMENT, announced("one", 7))
    other = reader.read(Kind.REVOCATIONS, revoked("blesser", 3, (5, 9)))
    ids = Ids((one.id, other.id))
    blessers = frozenset((key("blesser"), key("other")))
    return {
        "hello": Hello(True, (GRID,)),
        "subscribe": Subscribe((Subscription(GRID, STORAGE, blessers),)),
        "have": Have(((one.id, 0), (other.id, 3))),
        "want": Want((one.id, other.id)),
        "records": Records((one.data,), (other.data,)),
        "ranges": Ranges((ids.whole(),)),
        "ranges of nothing": Ranges((Range(FIRST, Slot(b"\x7f" + b"\xff" * 15), 0, Digest(Ids().whole().digest)),)),
        "listing": Listing((Part(FIRST, Slot(b"\xff" * 16), tuple(sorted((one.id, other.id)))),)),
    }


def main() -> None:
    """Write them."""
    cases = []
    for name, message in messages().items():
        data = wire.encode(message)
        cases.append({"name": name, "hex": data.hex(), "json": dagcbor.to_json(dagcbor.decode(data))})
    json.dump({"cases": cases}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
