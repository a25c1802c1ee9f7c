"""Completion scripts as the shells run them: a word is begun, the shell says how it may end."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.running import runner
from tests.waiting import SECONDS

_SHELLS = ("bash", "zsh", "fish")
_CASES = {
    "hold pi": {"pin"},
    "hold pin re": {"rename"},
    "hold --repo add pin re": {"rename"},
    "hold pin --json add --na": {"--name"},
    "hold add --rec": {"--recursive"},
    "hold completion ba": {"bash"},
    "hold cid --quiet b": {"bases"},
    "hold cat tr": {"tree"},
    "hold export --output tr": {"tree"},
}


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    path = tmp_path / f"completion.{shell}"
    path.write_bytes(runner(tmp_path)("completion", shell).stdout)
    work = tmp_path / "work"
    work.mkdir()
    (work / "tree").write_text("")
    return path


def _asked(shell: list[str], script: Path, asks: list[str]) -> dict[str, set[str]]:
    """What one shell makes of every case: of each a line that says which it is, then its words."""
    lines = "; ".join(f"echo '= {line}'; {ask}" for line, ask in zip(_CASES, asks, strict=True))
    done = subprocess.run(
        [*shell, "-c", f"source {script}; {lines}"], cwd=script.parent / "work", capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(script.parent)}, check=True,
    )  # fmt: skip
    assert not done.stderr
    parts = [part.partition("\n") for part in done.stdout.split("= ")[1:]]
    return {line: {row.split("\t")[0] for row in words.splitlines()} for line, _, words in parts}


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes(script: Path) -> None:
    ask = "COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _hold; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    assert _asked(["bash", "--norc"], script, [ask.format(line) for line in _CASES]) == _CASES


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes(script: Path) -> None:
    assert _asked(["fish", "--no-config"], script, [f"complete -C {line!r}" for line in _CASES]) == _CASES


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes(script: Path) -> None:
    """On a terminal, as zsh completes nowhere else; sourced, and found by name as an installed script is."""
    installed = script.parent / "functions"
    installed.mkdir()
    (installed / "_hold").write_bytes(script.read_bytes())
    for prepare in (f"compinit -u -D; source {script}", f"fpath=({installed} $fpath); compinit -u -D"):
        with _Zsh(script.parent / "work") as zsh:
            zsh.run(f"autoload -U compinit; {prepare}")
            for line, words in _CASES.items():
                assert zsh.completed(line) in {f"{line.rpartition(' ')[0]} {word}" for word in words}


class _Zsh:
    """A zsh on a terminal of its own."""

    def __init__(self, directory: Path) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(directory)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(directory)})

    def __enter__(self) -> "_Zsh":
        self.run("unsetopt zle_bracketed_paste prompt_sp; PS1=; stty -echo; zmodload zsh/zle")
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._terminal, b"\x03exit\n")
        os.close(self._terminal)
        os.waitpid(self._pid, 0)

    def run(self, line: str) -> None:
        """Run a line and wait for its end."""
        os.write(self._terminal, f"{line}; print en''d\n".encode())
        self._until("end\r\n")

    def completed(self, line: str) -> str:
        """What a line has become after a tab: zsh takes it to a print command's words instead of running it."""
        os.write(self._terminal, f"{line}\t\x01print -r -- 'go''t ' '\x05'; print en''d\n".encode())
        text = self._until("end\r\n")
        return " ".join(text.rpartition("got ")[2].partition("\r\n")[0].split())

    def _until(self, end: str) -> str:
        text, stop = "", time.monotonic() + SECONDS
        while end not in text:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, stop - time.monotonic()))
            assert ready, f"zsh said only {text!r}"
            text += os.read(self._terminal, 65536).decode(errors="replace")
        return text
