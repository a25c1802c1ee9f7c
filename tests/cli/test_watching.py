"""What people see of work that goes to several servers."""

import pytest

from commonhold.cli.output import Output
from commonhold.cli.watching import Watch


def test_what_went_where_is_said_at_the_end_and_who_has_least_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch(Output(json=False, quiet=False), "sent")
    watch._progress._next = 0.0  # no patience
    watch.part("attic", 3 << 20)
    watch._progress._next = 0.0
    watch.part("cellar\x1b[2J", 1 << 20)
    watch.part("attic", 1 << 20)
    watch.close()
    watch.told_parts()
    said = capsys.readouterr().err
    assert "of 2 servers cellar" in said and "has least, 1.0 MiB" in said
    assert said.splitlines()[-1].startswith("sent: attic 4.0 MiB, cellar") and "\x1b" not in said


def test_where_nothing_was_sent_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Watch(Output(json=False, quiet=False), "sent").told_parts()
    assert capsys.readouterr().err == ""
