"""The convergence secret: made once, and refused wherever somebody else might know it or have chosen it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commonhold.agent.secrets import convergence_secret
from commonhold.errors import HoldError, Kind


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    secret = convergence_secret(tmp_path)
    assert len(secret) == 32 and convergence_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys/sealing").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["sealing"]


def test_two_repositories_have_two(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert convergence_secret(tmp_path / "a") != convergence_secret(tmp_path / "b")


def test_many_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(convergence_secret, [tmp_path] * 40))) == 1


@pytest.mark.parametrize(
    ("path", "mode"), [("keys", 0o750), ("keys", 0o701), ("keys/sealing", 0o640), ("keys/sealing", 0o604)]
)
def test_what_others_could_read_is_refused_with_the_remedy(tmp_path: Path, path: str, mode: int) -> None:
    convergence_secret(tmp_path)
    (tmp_path / path).chmod(mode)
    with pytest.raises(HoldError) as caught:
        convergence_secret(tmp_path)
    assert caught.value.kind is Kind.DENIED and str(caught.value.hint).startswith("chmod ")
    assert str(tmp_path / path) in str(caught.value.hint)


@pytest.mark.root
@pytest.mark.parametrize("path", ["keys", "keys/sealing"])
def test_what_another_owns_is_refused(tmp_path: Path, path: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    convergence_secret(tmp_path)
    os.chown(tmp_path / path, 12345, 12345)
    with pytest.raises(HoldError) as caught:
        convergence_secret(tmp_path)
    assert caught.value.kind is Kind.DENIED and "12345" in caught.value.why


@pytest.mark.parametrize("path", ["keys", "keys/sealing"])
def test_a_symbolic_link_is_not_followed(tmp_path: Path, path: str) -> None:
    convergence_secret(tmp_path)
    (tmp_path / path).rename(tmp_path / "elsewhere")
    (tmp_path / path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HoldError):
        convergence_secret(tmp_path)


@pytest.mark.parametrize("text", ["", "00", "g" * 64, "00" * 33, "é" * 64])
def test_a_damaged_one_is_never_replaced(tmp_path: Path, text: str) -> None:
    convergence_secret(tmp_path)
    (tmp_path / "keys/sealing").write_text(text)
    with pytest.raises(HoldError) as caught:
        convergence_secret(tmp_path)
    assert caught.value.kind is Kind.CORRUPT
    assert (tmp_path / "keys/sealing").read_text() == text


def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "keys/sealing", 0o600)
    with pytest.raises(HoldError):
        convergence_secret(tmp_path)
