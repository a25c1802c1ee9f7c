"""The known answers in vectors/, and the bytes their recipes stand for. vectors/README.md has the recipe's form."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one file."""
    found: list[dict[str, Any]] = json.loads((ROOT / f"{name}.json").read_text())["cases"]
    assert found
    return found


def whole(kind: str) -> bytes:
    """The statement of a kind that has every field."""
    return next(base64.b64decode(case["data"]) for case in cases("statements") if case["name"] == f"{kind}: whole")


def bad_cids() -> list[str]:
    """Texts that no tool takes for a CID."""
    found: list[str] = json.loads((ROOT / "cid-kubo.json").read_text())["bad"]
    assert found
    return found


def content(recipe: dict[str, Any]) -> bytes:
    """The bytes of a file's recipe."""
    if "text" in recipe:
        return str(recipe["text"]).encode()
    seed, size = recipe["stream"]["seed"].encode(), recipe["stream"]["bytes"]
    parts = [hashlib.sha256(seed + i.to_bytes(8, "big")).digest() for i in range((size + 31) // 32)]
    return b"".join(parts)[:size]


def children(recipe: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a directory's recipe."""
    if "dir" in recipe:
        yield from recipe["dir"].items()
    else:
        many = recipe["many"]
        for i in range(many["count"]):
            yield many["name"].format(i=i), many["of"]
        yield from recipe.get("plus", {}).items()
