"""The shape of the house: sizes, names, docstrings. Each rule is one a newcomer would otherwise be told in review."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("octo_dagster", "connectors", "assets")
LONGEST_FILE = 450
LONGEST_FUNCTION = 60
LONG_FUNCTION = 50
NAMELESS = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc", "core"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def committed(*suffixes: str) -> list[Path]:
    """Every file that is or is about to be committed, with one of these suffixes (none: every one)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes)]


def python(*folders: str) -> list[Path]:
    return [path for path in committed(".py") if path.relative_to(ROOT).parts[0] in folders]


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """`file:line name` and node of every function, methods and inner ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def length(node: Function) -> int:
    """Lines of a function, its docstring not counted."""
    doc = node.body[0] if ast.get_docstring(node) is not None else None
    told = 0 if doc is None or doc.end_lineno is None else doc.end_lineno - doc.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - told


def test_there_is_a_house() -> None:
    """The rules below look at something: every part of the house is found."""
    assert all(len(python(folder)) > 3 for folder in (*CODE, "tests"))


def test_no_function_is_long() -> None:
    """No function has over 60 lines, and at most two in a hundred have over 50."""
    sizes = {name: length(node) for path in python(*CODE) for name, node in functions(path)}
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST_FUNCTION} == {}
    long = [name for name, lines in sizes.items() if lines > LONG_FUNCTION]
    assert len(long) <= len(sizes) / 50, long


def test_no_file_is_long() -> None:
    """No Python file, tests included, has over 450 lines."""
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in python(*CODE, "tests")
    }
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_every_file_has_a_name_of_its_own() -> None:
    """A file is a noun or a verb: none is called utils, helpers, base, common or manager."""
    files = python(*CODE, "tests")
    vague = [path for path in files if set(path.stem.split("_")) & NAMELESS or set(path.parts) & NAMELESS]
    assert vague == []


def public(tree: ast.Module, where: str) -> Iterator[tuple[str, ast.AST]]:
    """Every module, and every function or class at its top level, whose name has no underscore in front."""
    yield where, tree
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{where}:{node.lineno} {node.name}", node


TERSE = 13
"""Lines of a function whose name and signature may say all."""


def explained(node: ast.AST) -> bool:
    """Modules and classes always say what they are; a function of more than a few lines does too."""
    assert isinstance(node, ast.Module | Function | ast.ClassDef)
    if ast.get_docstring(node):
        return True
    return isinstance(node, Function) and length(node) <= TERSE


def test_what_is_public_is_explained() -> None:
    """Every module and class says what it is, and every function whose name cannot say all."""
    bare = [
        name
        for path in python("octo_dagster", "connectors")
        if path.stat().st_size
        for name, node in public(ast.parse(path.read_text("utf-8")), str(path.relative_to(ROOT)))
        if not explained(node)
    ]
    assert bare == []


def test_every_test_says_what_it_promises() -> None:
    """Every test has a docstring: read from top to bottom, the tests are the specification."""
    silent = [
        name
        for path in python("tests")
        for name, node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


FORBIDDEN = {
    r"except Exception\b|except:": "nobody catches everything",
    r"\bNotImplementedError\b": "no stub is committed",
    r"#\s*(TODO|FIXME|XXX)\b": "no note to oneself is committed",
    r"\bMagicMock\b|\bmock\.patch\b|\bunittest\.mock\b": "what is tested is the thing itself",
}


@pytest.mark.parametrize(("pattern", "why"), FORBIDDEN.items(), ids=FORBIDDEN.values())
def test_forbidden_words(pattern: str, why: str) -> None:
    """Some words stand for a habit this house does not have."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python(*CODE, "tests")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert found == [], why


HOST = re.compile(r"https?://[\w.-]*(" + "|".join(["py" + "pi", "python" + "hosted", "npm" + "js"]) + r")\.")


def test_no_registry_is_named() -> None:
    """No committed file names a package registry's host: where packages come from is the machine's affair."""
    found = [
        str(path.relative_to(ROOT))
        for path in committed(".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".cfg", ".ini", ".html", "")
        if HOST.search(path.read_text("utf-8", errors="replace"))
    ]
    assert found == []
