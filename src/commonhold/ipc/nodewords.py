"""What a node says, as values: what its store and its sessions both ask for."""

from collections.abc import Sequence
from typing import Any

from commonhold.api import PUBLIC, Pin
from commonhold.formats import cid as cids
from commonhold.formats import keylist
from commonhold.formats.multihash import Multihash
from commonhold.ipc.unixhttp import Client


def sizes(client: Client, keys: Sequence[Multihash]) -> list[int | None]:
    """The length of each block, None where there is none for us."""
    data = client.read(client.call("POST", "/v1/blocks/stat", keylist.pack(keys)))
    return client.understood(lambda: keylist.unpack_sizes(data, len(keys)))


def parse_pin(said: dict[str, Any]) -> Pin:
    """Return a pin as the node described it. What is raised where it is none, `Client.json` translates."""
    readers = tuple(PUBLIC if one == "public" else int(one) for one in said["readers"])
    root = cids.parse_text(said["root"])
    blocks, size, made = int(said["blocks"]), int(said["bytes"]), float(said["made"])
    return Pin(str(said["name"]), root, blocks, size, made, int(said["owner"]), readers)
