"""A lab's plan reads back as it was written; its processes are found again, and no others taken for them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.lab import plan, processes
from commonhold.lab.plan import Part, Plan

PLAN = Plan("g…", (Part("server1", ("server", "run", "/x"), 1, 2),), ("alice",), {"server1": "p…"})


def test_a_plan_reads_back(tmp_path: Path) -> None:
    plan.write(tmp_path, PLAN)
    assert plan.read(tmp_path) == PLAN


def test_no_lab_and_no_part_are_said(tmp_path: Path) -> None:
    with pytest.raises(HoldError) as caught:
        plan.read(tmp_path)
    assert caught.value.kind is Kind.NOT_FOUND
    with pytest.raises(HoldError) as caught:
        PLAN.part("server9")
    assert "server1" in caught.value.why


@pytest.mark.parametrize("name", ["", "blesser", "intro1", "server12", "../up", "Alice", "a" * 40, "-x"])
def test_names_that_are_parts_or_no_directories_are_refused(name: str) -> None:
    with pytest.raises(HoldError):
        plan.check_user(name)


def test_a_process_is_started_found_and_ended(tmp_path: Path) -> None:
    processes.start(tmp_path, "sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    pid = processes.running(tmp_path, "sleeper")
    assert pid is not None
    with pytest.raises(HoldError):
        processes.start(tmp_path, "sleeper", ["true"])
    assert processes.end(tmp_path, "sleeper", signal.SIGKILL)
    assert processes.running(tmp_path, "sleeper") is None and not processes.end(tmp_path, "sleeper")


def test_a_number_that_another_process_has_now_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "old.pid").write_text(f"{os.getpid()} 1\n")
    assert processes.running(tmp_path, "old") is None


def test_why_a_process_ended_is_said(tmp_path: Path) -> None:
    processes.start(tmp_path, "broken", [sys.executable, "-c", "raise SystemExit('error: no disk')"])
    with pytest.raises(HoldError) as caught:
        processes.listens(tmp_path, "broken", processes.free_ports(1, 3)[0])
    assert "no disk" in caught.value.why
    processes.end(tmp_path, "broken")


def test_a_command_that_fails_is_named_without_the_code_that_it_was_given(tmp_path: Path) -> None:
    code = "hold-join1" + "mzxw6ytboi" * 8
    with pytest.raises(HoldError) as caught:
        processes.said("--repo", str(tmp_path), "join", code)
    assert "join" in str(caught.value) and code not in str(caught.value)
