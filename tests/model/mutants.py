"""Scripts with one mistake each: what somebody might get wrong while changing them.

conditions turned round, and parts of them left out       == ~= < <= > >= and or + - swapped
statements left out: calls of Redis, of helpers, returns  numbers and flags off by one
names of fields left out of a list
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files

from app.state.scripting import names

# Those about passwords, sessions and users of the dashboard touch no job, those about lists and operations neither;
# what `relane` does is in tests/state/test_relane.py, what `depths` sees in tests/state/test_queues.py, what `renew`
# brings up in tests/state/test_schema.py.
DOOR = {
    "attempt",
    "enter",
    "hold",
    "leave",
    "user",
    "visit",
    "sift",
    "undertake",
    "proceed",
    "account",
    "relane",
    "depths",
    "renew",
}
# What is counted for charts decides nothing, and the model has no part of it: tests/state/test_totals.py looks at it.
SCRIPTS = ("prelude", *(name for name in names() if name not in DOOR))

TOKEN = re.compile(r'--.*|"[^"]*"|[A-Za-z_][\w.]*|\d+|==|~=|<=|>=|\.\.|[-+*/<>=#(){}\[\],^]')
SWAPS = {
    "==": "~=",
    "~=": "==",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "and": "or",
    "or": "and",
    "not": "",
    "+": "-",
    "-": "+",
    '"1"': '"0"',
    "math.max": "math.min",
    "math.min": "math.max",
    "FINAL": "HELD",
    "HELD": "FINAL",
}
APPENDED = re.compile(r"\+ [12]\](, \w+\[#\w+ \+ 1\])? = |\+ 1\] = ")  # the end of a list
STATEMENT = re.compile(
    r"(redis\.p?call|drop|enqueue|move|record|settle|lose|forget_worker|touch|look|give_back)\("
)
EARLY = re.compile(
    r'return( nil| false| text\(.*\)| "\w+"| true| drop\(.*\)| taken| job\[\d\]| cancel\(.*\))?'
)
CONDITION = re.compile(r"(\s*)(if|elseif|while) (.*?) (then|do)( --.*)?$")
NEVER = re.compile("(?!)")
DANGEROUS = {
    "prelude": re.compile(r"token|rule\.from|enqueue\(id\)|losses \+ 1 >="),
    "beat": re.compile(r"token|boot ~="),
    "claim": re.compile(r"first =="),
    "finish": re.compile(r"job\[[12]\] [=~]= ARGV|not settle|won"),
    "progress": re.compile(r"ARGV\[2\] then"),
    "publish": re.compile(r"ARGV\[2\] then"),
    "reap": re.compile(r"grace$|at >= grace then|if gap|redo ==|lose|enqueue"),
    "register": re.compile(r"proven"),
    "release": re.compile(r"job\[2\] ~= |requeue|enqueue"),
}


@dataclass(frozen=True)
class Mutant:
    """One mistake: in which script, at which line (from 1), what stood there and what stands there now.

    `turn` counts those that look alike.
    """

    script: str
    line: int
    old: str
    new: str
    turn: int = 1

    def __str__(self) -> str:
        counted = f"  [{self.turn}]" if self.turn > 1 else ""
        return f"{self.script}: {_shown(self.old)}  -->  {_shown(self.new) or '(nothing)'}{counted}"

    @property
    def is_dangerous(self) -> bool:
        """Whether it is about who may write, when somebody counts as dead, or where a job goes then."""
        return bool(DANGEROUS.get(self.script, NEVER).search(self.old))

    def change(self, name: str, text: bytes) -> bytes:
        """The text of the script `name` with the mistake, if it has it."""
        if self.script not in ("prelude", name):
            return text
        original = text_of(self.script)
        lines = original.splitlines()
        count = len(self.old.splitlines())
        lines[self.line - 1 : self.line - 1 + count] = [self.new]
        return text.replace(original.encode(), "\n".join(lines).encode() + b"\n")


def text_of(script: str) -> str:
    """A script's own text."""
    return files("app.state.scripts").joinpath(script + ".lua").read_text()


def _shown(lines: str) -> str:
    return " ".join(re.sub(r"\s+-- .*", "", line).strip() for line in lines.splitlines())


def all_mutants() -> list[Mutant]:
    """Those of all scripts."""
    seen: Counter[str] = Counter()
    found = []
    for mutant in (one for script in SCRIPTS for one in mutants(script)):
        seen[str(mutant)] += 1
        found.append(replace(mutant, turn=seen[str(mutant)]))
    return found


def mutants(script: str) -> list[Mutant]:
    """All mistakes that one can make in a script, each once."""
    lines = text_of(script).splitlines()
    found = dict.fromkeys(
        Mutant(script, number, old, new)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("--")
        for old, new in [*_swapped(line), *_conditions(line), *_without(lines, number), *_unlisted(line)]
        if old != new
    )
    return list(found)


def _swapped(line: str) -> Iterator[tuple[str, str]]:
    """Another operator, number or flag."""
    before = ""
    for token in TOKEN.finditer(line):
        word = token.group()
        if word.startswith("--"):
            return
        if APPENDED.match(line, token.start()):
            continue
        if word in SWAPS:
            yield line, line[: token.start()] + SWAPS[word] + line[token.end() :]
        elif word in ("0", "1") and before in ("==", "<", ">", "+", "or"):
            yield line, line[: token.start()] + "10"[int(word)] + line[token.end() :]
        before = word


def _conditions(line: str) -> Iterator[tuple[str, str]]:
    """A condition turned round, or without one of its parts."""
    if not (match := CONDITION.match(line)):
        return
    indent, word, condition, end, _ = match.groups()
    if (
        not re.fullmatch(r"not .*|[^=~<>]+ [=~]= [^=~<>]+", condition)
        or " and " in condition
        or " or " in condition
    ):
        yield line, f"{indent}{word} not ({condition}) {end}"
    parts = _parts(condition)
    for number in range(0, len(parts), 2) if len(parts) > 1 else ():
        kept = parts[2:] if number == 0 else parts[: number - 1] + parts[number + 1 :]
        yield line, f"{indent}{word} {' '.join(kept)} {end}"


def _parts(condition: str) -> list[str]:
    """The condition split at its outermost words `and` and `or`; these are parts too."""
    parts, depth, last = [], 0, 0
    for token in TOKEN.finditer(condition):
        word = token.group()
        depth += (word in "([{") - (word in ")]}")
        if word in ("and", "or") and depth == 0:
            parts += [condition[last : token.start()].strip(), word]
            last = token.end()
    return [*parts, condition[last:].strip()]


def _without(lines: list[str], number: int) -> Iterator[tuple[str, str]]:
    """A statement left out: a call, or a return that is not the last word."""
    line = lines[number - 1]
    text = line.strip()
    if STATEMENT.match(text):
        end = number
        while (whole := "\n".join(lines[number - 1 : end])).count("(") > whole.count(")"):
            end += 1
        yield whole, ""
    elif EARLY.fullmatch(text) or re.match(r"\w+, \w+ = |\w+ = ", text):
        yield line, ""


def _unlisted(line: str) -> Iterator[tuple[str, str]]:
    """A field that is not deleted with the others, or not stored."""
    if re.search(r'"H(DEL|SET)"', line):
        strings = list(re.finditer(r', "[\w]+"', line))
        for match in strings if '"HDEL"' in line and len(strings) > 1 else ():
            yield line, line[: match.start()] + line[match.end() :]
        for match in re.finditer(r', "[\w]+", (?:"\w*"|[\w.\[\]]+(?:\([^()]*\))?)(?=[,)])', line):
            if '"HSET"' in line and line.count('", ') > 3:
                yield line, line[: match.start()] + line[match.end() :]
