"""`ffgrid completion bash|zsh|fish`: what the shell offers, made from the table of commands.

Three dialects of one table: at each place (`` for the first word, `keys`, `keys add`, ...) there are words, and
behind some flags there are choices. Ids of jobs and names of workers are not offered: a shell waits for no network.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from app.cli.command import Command

FILES = ("FILE", "DIR")  # metavars behind which the shell offers files


@dataclass(frozen=True)
class Place:
    """Where the cursor can be. `words` and `choices` are (word, what it means); the choices stand behind a flag."""

    path: str
    words: tuple[tuple[str, str], ...]
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    valued: tuple[str, ...] = ()  # flags that take any value, or a file


def run(arguments: Namespace) -> int:
    """Prints the script for a shell."""
    from app.cli.commands import COMMANDS

    print(SHELLS[arguments.shell](list(places(COMMANDS))))
    return 0


def places(commands: Sequence[Command], path: str = "") -> Iterator[Place]:
    """All places, the first word's first."""
    yield Place(path, tuple((one.name, one.summary) for one in commands))
    for command in commands:
        here = f"{path} {command.name}".strip()
        if command.children:
            yield from places(command.children, here)
        else:
            yield _leaf(command, here)


def bash(found: Sequence[Place]) -> str:
    """For bash, with nothing but what every bash has."""
    words = "\n".join(f"        {quote(one.path)}) words={quote(_names(one))} ;;" for one in found)
    chosen = "\n".join(
        f"        {quote(f'{one.path} {flag}')}) words={quote(' '.join(values))} ;;"
        for one in found
        for flag, values in one.choices
    )
    return BASH.format(paths="|".join(_paths(found)), words=words, chosen=chosen, valued=_valued(found))


def zsh(found: Sequence[Place]) -> str:
    """For zsh, which shows what each word means."""
    words = "\n".join(
        f"        {quote(one.path)}) found=({' '.join(quote(_described(*pair)) for pair in one.words)}) ;;"
        for one in found
    )
    chosen = "\n".join(
        f"        {quote(f'{one.path} {flag}')}) found=({' '.join(map(quote, values))}) ;;"
        for one in found
        for flag, values in one.choices
    )
    return ZSH.format(paths="|".join(_paths(found)), words=words, chosen=chosen, valued=_valued(found))


def fish(found: Sequence[Place]) -> str:
    """For fish, a line for each word."""
    lines = [FISH.format(paths=" ".join(_paths(found)))]
    for one in found:
        at = f"complete -c ffgrid -n {quote(f'__ffgrid_at {quote(one.path)}')}"
        chosen = dict(one.choices)
        for word, meaning in one.words:
            if not word.startswith("-"):
                lines.append(f"{at} -f -a {quote(word)} -d {quote(meaning)}")
                continue
            name = f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
            value = f" -x -a {quote(' '.join(chosen[word]))}" if word in chosen else ""
            value = value or (" -r" if word in one.valued else "")
            lines.append(f"{at} {name}{value} -d {quote(meaning)}")
    return "\n".join(lines)


def _leaf(command: Command, path: str) -> Place:
    words: list[tuple[str, str]] = []
    choices: list[tuple[str, tuple[str, ...]]] = []
    valued: list[str] = []
    for flags, options in command.arguments:
        values = tuple(map(str, options.get("choices", ())))
        if not flags[0].startswith("-"):
            words += [(value, options["help"]) for value in values]
            continue
        words += [(flag, options["help"]) for flag in flags]
        if options.get("action") != "store_true":
            choices += [(flag, values) for flag in flags if values]
            valued += [flag for flag in flags if not values]
    return Place(path, (*words, ("--help", "explain it")), tuple(choices), tuple(valued))


def _names(place: Place) -> str:
    return " ".join(word for word, _ in place.words)


def _described(word: str, meaning: str) -> str:
    return word.replace(":", "\\:") + ":" + meaning


def _paths(found: Sequence[Place]) -> list[str]:
    """All places as the scripts meet them: the place before, a space and the word."""
    return [quote(one.path if " " in one.path else f" {one.path}") for one in found if one.path]


def _valued(found: Sequence[Place]) -> str:
    return "|".join(quote(f"{one.path} {flag}") for one in found for flag in one.valued)


BASH = """\
# What bash offers for ffgrid. For this shell:  eval "$(ffgrid completion bash)"
# For every shell:  ffgrid completion bash > ~/.local/share/bash-completion/completions/ffgrid
_ffgrid() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} at= words= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == -- ]] && return
        case "$at ${{COMP_WORDS[i]}}" in
        {paths}) at="${{at:+$at }}${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$at $prev" in
        {valued}) return ;;
{chosen}
        *) case "$at" in
{words}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _ffgrid ffgrid"""

ZSH = """\
#compdef ffgrid
# What zsh offers for ffgrid. For this shell:  source <(ffgrid completion zsh)
# For every shell:  ffgrid completion zsh > DIR/_ffgrid, where DIR is one of $fpath
_ffgrid() {{
    local at= i
    local -a found
    for ((i = 2; i < CURRENT; i++)); do
        if [[ $words[i] == -- ]]; then _files; return; fi
        case "$at $words[i]" in
        {paths}) at="${{at:+$at }}$words[i]" ;;
        esac
    done
    case "$at $words[CURRENT-1]" in
        {valued}) _files; return ;;
{chosen}
        *) case "$at" in
{words}
        esac ;;
    esac
    _describe -V ffgrid found || _files
}}
if [[ $funcstack[1] == _ffgrid ]]; then _ffgrid "$@"; else compdef _ffgrid ffgrid; fi"""

FISH = """\
# What fish offers for ffgrid. For every shell:  ffgrid completion fish > ~/.config/fish/completions/ffgrid.fish
function __ffgrid_at
    set -l at ""
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" {paths}
            set at (string trim "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end"""

SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
