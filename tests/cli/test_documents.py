"""What the documents and the help tell people to type works as it is written."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from commonhold.cli.main import COMMANDS, EXIT_CODES, command_parser
from tests.cli.shell import Shell, shell

__all__ = ["shell"]

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_five_minutes_of_the_readme(shell: Shell, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("## Five minutes")[1].split("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith(("    hold ", "    CID="))]
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    done = shell("set -euo pipefail\n" + "\n".join(lines)).stdout.decode()
    assert len(lines) > 10 and "all sound" in done and "unpinned documents" in done
    assert (tmp_path / "formats.md").read_bytes() == (ROOT / "docs/spec/formats.md").read_bytes()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_of_the_help_is_a_command(name: str) -> None:
    epilog = command_parser(name).epilog or ""
    examples = re.findall(rf"\bhold (?:--repo \S+ )?{name}\b(.*)", epilog.removesuffix(EXIT_CODES))
    for example in examples:
        words = shlex.split(re.split(r" [|&]", example)[0])
        assert command_parser(name).parse_args(words)
    assert examples or "examples:" not in epilog


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_and_option_is_explained(name: str) -> None:
    parsers = [command_parser(name)]
    for parser in parsers:
        assert parser.description
        for action in parser._actions:
            if isinstance(action.choices, dict):
                parsers.extend(action.choices.values())
            else:
                assert action.help, action
