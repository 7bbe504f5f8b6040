"""Files, functions and rooms stay small.  Exemptions are listed, owned, and only shrink."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "portico").rglob("*.py"))
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
NESTING_MAX = 3
ROOM_LINES_MAX = 2_000
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# path or path:function -> (size today, why it reads best whole).  Empty is the goal.
EXEMPT: dict[str, tuple[int, str]] = {}

_BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def over(limit: int, sizes: dict[str, int]) -> dict[str, int]:
    """What is larger than `limit` and not exempt at that size."""
    return {
        name: size
        for name, size in sizes.items()
        if size > max(limit, EXEMPT[name][0] if name in EXEMPT else 0)
    }


@cache
def functions(path: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return {
        f"{name_of(path)}:{node.name}": node
        for node in ast.walk(tree)
        if isinstance(node, _FUNCTIONS)
    }


def depth(node: ast.AST) -> int:
    """How many blocks stand inside one another; an `elif` is not deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            continue
        below = depth(child)
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        if isinstance(child, _BLOCKS) and not is_elif:
            below += 1
        deepest = max(deepest, below)
    return deepest


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_are_short() -> None:
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert over(FILE_LINES_MAX, sizes) == {}


def test_functions_are_short() -> None:
    sizes = {name: length(node) for path in SOURCES for name, node in functions(path).items()}
    assert over(FUNCTION_LINES_MAX, sizes) == {}


def test_functions_are_shallow() -> None:
    sizes = {name: depth(node) for path in SOURCES for name, node in functions(path).items()}
    assert over(NESTING_MAX, sizes) == {}


def test_rooms_are_small() -> None:
    sizes: dict[str, int] = {}
    for path in SOURCES:
        folder = name_of(path.parent)
        sizes[folder] = sizes.get(folder, 0) + len(path.read_text().splitlines())
    assert over(ROOM_LINES_MAX, sizes) == {}


def test_an_exemption_is_still_needed() -> None:
    files = {name_of(path): path for path in SOURCES}
    for name, (size, why) in EXEMPT.items():
        path, _, function = name.partition(":")
        found = (
            length(functions(files[path])[name])
            if function
            else len(files[path].read_text().splitlines())
        )
        assert found >= size, f"{name} shrank to {found}: lower its exemption"
        assert why


def test_nothing_is_called_vaguely() -> None:
    named = {part for path in SOURCES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert named & VAGUE == set()


@pytest.mark.parametrize(
    ("source", "deep"),
    [
        ("def f():\n for a in b:\n  if c:\n   with d:\n    if e: pass", 4),
        ("def f():\n if a: pass\n elif b: pass\n elif c: pass\n else: pass", 1),
    ],
)
def test_the_depth_meter_itself(source: str, deep: int) -> None:
    assert depth(ast.parse(source).body[0]) == deep
