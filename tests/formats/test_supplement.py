"""Supplements come back as they were; what is none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, supplement
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.supplement import Path, Record

ROOT = cids.from_digest(cids.DAG_PB, bytes(32))
NUMBERS = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
SIZES = st.integers(0, (1 << 63) - 1)


def maybe(strategy: "st.SearchStrategy[object]") -> "st.SearchStrategy[object]":
    return st.none() | strategy


RECORDS = st.builds(
    Record,
    name=maybe(st.binary()),
    mode=maybe(NUMBERS),
    owner=maybe(st.text()),
    group=maybe(st.text()),
    device=maybe(NUMBERS),
    modified=maybe(NUMBERS),
    target=maybe(st.binary()),
    same=maybe(NUMBERS),
    xattrs=st.lists(st.tuples(st.binary(), st.binary())).map(tuple),
    holes=st.lists(st.tuples(SIZES, SIZES)).map(tuple),
)


@given(st.lists(st.tuples(st.lists(st.text(), max_size=5).map(tuple), RECORDS)))
def test_a_supplement_comes_back(records: list[tuple[Path, Record]]) -> None:
    assert supplement.decode(supplement.encode(ROOT, records)) == (ROOT, records)


def test_a_supplement_is_these_bytes() -> None:
    records = [((), Record(owner="a@b")), (("x", "y"), Record(same=7)), (("x", "z"), Record(holes=((1, 2),)))]
    assert dagcbor.decode(supplement.encode(ROOT, records)) == {
        "v": 1,
        "root": ROOT,
        "objects": [[0, [], {"owner": "a@b"}], [0, ["x", "y"], {"same": 7}], [1, ["z"], {"holes": [[1, 2]]}]],
    }
    assert supplement.encode(ROOT, [((), Record(name=b"\xff"))]).hex() == (
        "a361760164726f6f74d82a582500017012200000000000000000000000000000000000000000000000000000000000000000"
        "676f626a65637473818300"
        "80a1646e616d6541ff"
    )


@pytest.mark.parametrize(
    "objects",
    [
        {},
        [[]],
        [[0, [], {}, 1]],
        [[1, [], {}]],
        [[-1, [], {}]],
        [[0, ["a"], {}], [2, [], {}]],
        [[0, [b"a"], {}]],
        [[0, "a", {}]],
        [[0, [], []]],
        [[0, [], {"unknown": 1}]],
        [[0, [], {"mode": "1"}]],
        [[0, [], {"mode": True}]],
        [[0, [], {"mode": -(1 << 63)}]],
        [[0, [], {"device": (1 << 63)}]],
        [[0, [], {"name": "a"}]],
        [[0, [], {"owner": b"a"}]],
        [[0, [], {"xattrs": {}}]],
        [[0, [], {"xattrs": [[b"a"]]}]],
        [[0, [], {"xattrs": [[b"a", "b"]]}]],
        [[0, [], {"holes": [[-1, 5]]}]],
        [[0, [], {"holes": [[1, 2, 3]]}]],
        [[0, [], {"holes": [1]}]],
    ],
)
def test_what_is_no_supplement_is_refused(objects: object) -> None:
    with pytest.raises(Malformed):
        supplement.decode(dagcbor.encode({"v": 1, "root": ROOT, "objects": objects}))


def test_another_version_is_told_apart_from_what_is_none() -> None:
    with pytest.raises(Unsupported):
        supplement.decode(dagcbor.encode({"v": 2}))
    values: list[object] = [{}, {"v": "1"}, [], {"v": 1, "objects": []}, {"v": 1, "root": ROOT}]
    for value in [*values, {"v": 1, "root": 5, "objects": []}]:
        with pytest.raises(Malformed):
            supplement.decode(dagcbor.encode(value))
