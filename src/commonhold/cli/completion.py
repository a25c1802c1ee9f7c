"""Print a completion script: `eval "$(hold completion bash)"`."""

import argparse

from commonhold.cli.output import Output


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `completion`."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="whose script")


def _words() -> dict[str, list[str]]:
    """Every command's options and verbs, out of its own parser."""
    from commonhold.cli.main import COMMANDS, command_parser

    words: dict[str, list[str]] = {}
    for name in COMMANDS:
        found: list[str] = []
        for action in command_parser(name)._actions:
            found += [option for option in action.option_strings if option.startswith("--")]
            if action.choices:
                found += [str(choice) for choice in action.choices]
        words[name] = found
    return words


def run(args: argparse.Namespace, out: Output) -> int:
    """Print it."""
    words = _words()
    if args.shell == "fish":
        lines = [f"complete -c hold -n __fish_use_subcommand -a {name}" for name in words]
        for name, found in words.items():
            for word in found:
                flag = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
                lines.append(f"complete -c hold -n '__fish_seen_subcommand_from {name}' {flag}")
        script = "\n".join(lines)
    else:
        cases = "\n".join(f"    {name}) words='{' '.join(found)}' ;;" for name, found in words.items())
        script = f"""_hold() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" command="" words="{" ".join(words)} --repo --json --quiet" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in {"|".join(words)}) command="$word"; break ;; esac
  done
  case "$command" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ -n "$command" ] && COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -o filenames -F _hold hold"""
        if args.shell == "zsh":
            script = "autoload -U +X bashcompinit && bashcompinit\n" + script
    out.result({"shell": args.shell, "script": script}, script)
    return 0
