"""An agent that is there and says nothing, as one that was stopped: no command waits for it twice, and all say so."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.cli import doctor, reaching, status
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind
from commonhold.host.health import Status
from commonhold.host.repository import Choice
from commonhold.ipc import agentclient


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where it listens."""
    home = tmp_path / ".hold"
    home.mkdir(0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(agentclient, "_HELLO_SECONDS", 0.1)

    def started(state: Path, idle: int | None) -> None:
        raise AssertionError("there is one already")

    monkeypatch.setattr(reaching, "start", started)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(home / "agent.sock"))
        silent.listen()
        yield home


def test_a_command_says_so_and_does_its_work_itself(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reaching.reach(state, state, Output(json=False, quiet=False)) is None
    told = capsys.readouterr().err
    assert "has said nothing for 0.1 s" in told and "does its work itself" in told


def test_it_is_not_taken_for_one_that_is_not_there(state: Path) -> None:
    with pytest.raises(HoldError) as caught:
        reaching.running(state)
    assert caught.value.kind is Kind.BUSY and f"fuser -v {state}/agent.sock" in str(caught.value.hint)


def test_status_and_doctor_name_it(state: Path) -> None:
    said, attended = status._agent(Choice(state, "said by the test"))
    assert "cannot be asked" in said and "said nothing" in said and not attended
    (found,) = doctor._agent(state)
    assert found.status is Status.FAIL and "fuser -v" in str(found.remedy)
