"""Every tree of the vectors gets the CID that other IPFS tools give it."""

from typing import Any

import pytest

from commonhold.unixfs import profile
from tests import vectors
from tests.unixfs.trees import Memory

CASES = vectors.cases("unixfs")


@pytest.mark.parametrize("case", CASES, ids=[f"{case['name']}-{case['profile']}" for case in CASES])
def test_the_root_is_what_every_ipfs_tool_computes(case: dict[str, Any]) -> None:
    chosen = profile.by_name(case["profile"])
    chunk = int(case["chunker"].split("-")[1]) if "chunker" in case else chosen.chunk_size
    assert str(Memory().tree(chosen, case["tree"], chunk).cid) == case["cid"]
