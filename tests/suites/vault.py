"""What every vault must do. A test module makes the `vault` fixture and imports these."""

import hashlib
import threading

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.volume.vault import Sealed, Vault


def keep(vault: Vault, number: int, *contents: bytes) -> list[Sealed]:
    chapter = vault.begin(number)
    sealed = [chapter.put(content) for content in contents]
    chapter.commit()
    chapter.close()
    return sealed


def test_what_a_chapter_keeps_comes_back(vault: Vault) -> None:
    contents = [b"a", b"b" * 4096, b"c" * (1 << 20), bytes((1 << 20) - 1)]
    sealed = keep(vault, 1, *contents)
    assert [vault.read(block) for block in sealed] == contents
    assert [block.length for block in sealed] == [len(content) for content in contents]
    assert sealed[1].plain == hashlib.sha256(contents[1]).digest()
    assert vault.chapters() == {1} and vault.kept(1) == {block.digest for block in sealed}


def test_a_dropped_chapter_is_not_there(vault: Vault) -> None:
    keep(vault, 1, b"a")
    keep(vault, 12, b"b")
    vault.drop(1)
    assert vault.chapters() == {12}
    with pytest.raises(HoldError) as caught:
        vault.drop(1)
    assert caught.value.kind is Kind.NOT_FOUND


def test_a_chapter_that_is_closed_first_was_never_there(vault: Vault) -> None:
    chapter = vault.begin(1)
    chapter.put(b"a")
    chapter.close()
    assert vault.chapters() == set()


def test_a_chapter_takes_over_what_others_keep(vault: Vault) -> None:
    (one,) = keep(vault, 1, b"1")
    two, three = keep(vault, 2, b"2", b"3")
    chapter = vault.begin(3)
    chapter.keep([one.digest, three.digest])
    chapter.commit()
    chapter.close()
    vault.drop(1)
    vault.drop(2)
    assert (vault.read(one), vault.read(three)) == (b"1", b"3")
    assert vault.kept(3) == {one.digest, three.digest} and two.digest not in vault.kept(3)


def test_what_is_not_there_can_be_neither_read_nor_kept(vault: Vault) -> None:
    (there,) = keep(vault, 1, b"1")
    missing = there._replace(digest=bytes(32))
    with pytest.raises(HoldError) as caught:
        vault.read(missing)
    assert caught.value.kind is Kind.NOT_FOUND
    chapter = vault.begin(2)
    with pytest.raises(HoldError) as caught:
        chapter.keep([there.digest, missing.digest])
    assert caught.value.kind is Kind.NOT_FOUND
    chapter.close()


def test_many_threads_put_into_one_chapter(vault: Vault) -> None:
    contents = [bytes([n]) * (1 << 20) for n in range(120)]  # more than a store has memory for at once
    chapter = vault.begin(1)
    sealed: dict[bytes, Sealed] = {}

    def put(mine: list[bytes]) -> None:
        for content in mine:
            sealed[content[:1]] = chapter.put(content)

    threads = [threading.Thread(target=put, args=(contents[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chapter.commit()
    chapter.close()
    assert len(vault.kept(1)) == 120
    assert all(vault.read(sealed[content[:1]]) == content for content in contents)
