"""Manual pages: a page for every command, a line for every option, and nothing that groff grumbles about."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commonhold.cli.main import COMMANDS, command_parser
from commonhold.cli.manual import main, pages

_OVERVIEW = Path(__file__).parents[2] / "packaging/man/commonhold.7"
_GROFF = pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here")


def _printed(page: str) -> str:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=400n"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.replace("\N{MINUS SIGN}", "-")  # as man(1) has groff print what is to be typed


def test_every_command_has_a_page_and_the_first_page_names_them_all() -> None:
    made = pages()
    assert set(made) == {"hold.1", *(f"hold-{name}.1" for name in COMMANDS)}
    for name in COMMANDS:
        assert f"hold\\-{name}" in made["hold.1"]


@_GROFF
@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_verb_of_the_help_is_on_the_page(name: str) -> None:
    printed = _printed(pages()[f"hold-{name}.1"])
    words = set(re.findall(r"[\w-]+", printed))
    parsers = [command_parser(name)]
    while parsers:
        for action in parsers.pop()._actions:
            assert set(action.option_strings) <= words
            if action.option_strings and action.help:
                assert action.help[1:] in printed
            if isinstance(action.choices, dict):
                assert set(action.choices) <= words
                parsers += action.choices.values()


@_GROFF
def test_every_page_has_the_usual_sections() -> None:
    for page in pages().values():
        for section in (
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SEE ALSO",
        ):
            assert f".SH {section}\n" in page
        assert "HOLD_REPO" in page
        _printed(page)


@_GROFF
def test_the_overview_is_sound_and_says_that_nobody_is_locked_out() -> None:
    printed = " ".join(_printed(_OVERVIEW.read_text()).split())
    assert "ProtectHome" in printed and "locks nobody out" in printed


@_GROFF
def test_what_is_typed_is_printed_as_it_is_typed(tmp_path: Path) -> None:
    main(tmp_path)
    printed = _printed((tmp_path / "hold-get.1").read_text())
    assert "--archive tar" in printed and "CID[/path]" in printed
