"""Print a completion script: `eval "$(hold completion bash)"`."""

import argparse
from typing import NamedTuple

from commonhold.cli.output import Output


class _Place(NamedTuple):
    """What may follow `hold COMMAND` or `hold COMMAND VERB`: words, and what each is for."""

    words: dict[str, str]
    options: dict[str, str]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `completion`."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="whose script")


def run(args: argparse.Namespace, out: Output) -> int:
    """Print it."""
    places, valued = _read()
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](places, valued)
    out.result({"shell": args.shell, "script": script}, script)
    return 0


def _read() -> tuple[dict[str, _Place], set[str]]:
    """Every place by its words ("", "pin", "pin add", …) out of the parsers, and the options that take a value."""
    from commonhold.cli.main import COMMANDS, command_parser, root_parser

    places: dict[str, _Place] = {}
    valued: set[str] = set()

    def place(name: str, parser: argparse.ArgumentParser) -> None:
        here = places[name] = _Place({}, {})
        for action in parser._actions:
            help_text = action.help if action.help and action.help != argparse.SUPPRESS else ""
            for option in action.option_strings:
                here.options[option] = help_text
                if action.nargs != 0:
                    valued.add(option)
            if isinstance(action, argparse._SubParsersAction):
                here.words.update({one.dest: one.help or "" for one in action._choices_actions})
                for verb, below in action.choices.items():
                    place(f"{name} {verb}", below)
            elif action.choices and not action.option_strings:
                here.words.update(dict.fromkeys(map(str, action.choices), help_text))

    place("", root_parser())
    places[""].words.update({name: command.summary for name, command in COMMANDS.items()})
    for name in COMMANDS:
        place(name, command_parser(name))
    return places, valued


def _verbs(places: dict[str, _Place]) -> list[str]:
    """Patterns of `WHERE:WORD`, as the scripts walk from place to place."""
    return [f"{name.rpartition(' ')[0]}:{name.rpartition(' ')[2]}" for name in places if name]


def _walk(places: dict[str, _Place], valued: set[str], words: str) -> str:
    """Shell code, bash and zsh, that finds the place from the words before the cursor."""
    steps = "|".join(f"'{step}'" for step in _verbs(places))
    return f"""  local place='' word skip=''
  for word in {words}; do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in {"|".join(sorted(valued))}) skip=1; continue ;; esac
    case "$place:$word" in {steps}) place="${{place:+$place }}$word" ;; esac
  done"""


def _bash(places: dict[str, _Place], valued: set[str]) -> str:
    cases = "\n".join(
        f"    '{name}') words='{' '.join(here.words)}' options='{' '.join(here.options)}' ;;"
        for name, here in places.items()
    )
    return f"""_hold() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words='' options='' found
{_walk(places, valued, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}
  COMPREPLY=()
  if [[ -n $skip ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); return; fi
  case $place in
{cases}
  esac
  [[ $current == -* ]] && words="$options"
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  [[ -n $place && $current != -* && ${{#COMPREPLY[@]}} -eq 0 ]] && mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}
complete -o filenames -F _hold hold"""


def _zsh(places: dict[str, _Place], valued: set[str]) -> str:
    def described(rows: dict[str, str]) -> str:
        return " ".join(_quoted(f"{word}:{text}") for word, text in rows.items())

    cases = "\n".join(
        f"    '{name}') words_=({described(here.words)}) options_=({described(here.options)}) ;;"
        for name, here in places.items()
    )
    return f"""#compdef hold
_hold() {{
  local -a words_ options_
{_walk(places, valued, '"${(@)words[2,CURRENT-1]}"')}
  if [[ -n $skip ]]; then _files; return; fi
  case $place in
{cases}
  esac
  if [[ $PREFIX == -* ]]; then _describe -o option options_; return; fi
  (( $#words_ )) && _describe command words_ && return
  [[ -n $place ]] && _files
}}
if [[ $funcstack[1] == _hold ]]; then _hold "$@"; else compdef _hold hold; fi"""


def _fish(places: dict[str, _Place], valued: set[str]) -> str:
    steps = " ".join(f"'{step}'" for step in _verbs(places))
    lines = [
        f"""function __hold_at
    set -l place ''
    set -l skip ''
    for word in (commandline -opc)[2..]
        if test -n "$skip"
            set skip ''
        else if contains -- $word {" ".join(sorted(valued))}
            set skip 1
        else if contains -- "$place:$word" {steps}
            set place (string trim -- "$place $word")
        end
    end
    test "$place" = "$argv[1]"
end"""
    ]
    for name, here in places.items():
        at = f"complete -c hold -n \"__hold_at '{name}'\""
        lines += [f"{at} -f"] if here.words else []
        lines += [f"{at} -a {word} -d {_quoted(text)}" for word, text in here.words.items()]
        for option, text in here.options.items():
            kind = "-l" if option.startswith("--") else "-s"
            value = " -r" if option in valued else ""
            lines.append(f"{at} {kind} {option.lstrip('-')}{value} -d {_quoted(text)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A string in single quotes, as all three shells read it."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
