"""Every statement that Portico's sources hold, found by reading them: which tables it is about, and
whether its WHERE names a tenant."""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from portico.db.tables import metadata

ROOT = Path(__file__).parents[2]
TENANT_COLUMNS = ("organisation_id", "project_id")
TENANT_TABLES = frozenset(
    name
    for name, table in metadata.tables.items()
    if name in ("organisation", "project") or any(each in table.c for each in TENANT_COLUMNS)
)
_SOURCES = sorted((ROOT / "portico").rglob("*.py"))
_VERBS = {"select", "update", "delete"}
_SQL = re.compile(r"\s*(SELECT|UPDATE|DELETE|WITH)\b")
_TABLES = re.compile(r"\b(?:FROM|JOIN|UPDATE)\s+([a-z_]+)")
_NAMED = re.compile(r"\b(organisation_id|project_id)\b")


@dataclass(frozen=True)
class Statement:
    """place: path and function.  tables: those of tenants.  scoped: its WHERE names one."""

    place: str
    line: int
    tables: frozenset[str]
    scoped: bool


@cache
def statements() -> tuple[Statement, ...]:
    return tuple(
        statement
        for path in _SOURCES
        if "migrations" not in path.parts
        for statement in of_text(path.read_text(), str(path.relative_to(ROOT)))
    )


def of_text(source: str, name: str) -> Iterator[Statement]:
    if not any(table in source for table in TENANT_TABLES):
        return
    tree = ast.parse(source)
    tables, narrowing = _imported_tables(tree), _narrowing(tree)
    for place, node in _pieces(tree):
        for found in _spelled(node):
            of = frozenset(_TABLES.findall(found)) & TENANT_TABLES
            if of:
                where = found.partition("WHERE")[2]
                yield Statement(f"{name}:{place}", node.lineno, of, bool(_NAMED.search(where)))
        of = _selected(node, tables)
        if of:
            where = " ".join(_conditions(node, narrowing))
            yield Statement(f"{name}:{place}", node.lineno, of, bool(_NAMED.search(where)))


def _pieces(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Functions whole, with the name of their class; of the rest, statement by statement."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{each.name}", each
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield ast.unparse(target), node


def _spelled(node: ast.AST) -> Iterator[str]:
    """Texts that are SQL; what an f-string puts in is a blank."""
    inside: set[ast.AST] = set()
    for each in ast.walk(node):
        if each in inside:
            continue
        text = None
        if isinstance(each, ast.JoinedStr):
            inside |= set(ast.walk(each))
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else " " for part in each.values
            )
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            text = each.value
        if text is not None and _SQL.match(text):
            yield text


def _imported_tables(tree: ast.Module) -> dict[str, str]:
    """Names of tables as this module calls them, with their aliases."""
    known = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("portico.db.tables")
        for alias in node.names
        if alias.name in TENANT_TABLES
    }
    for node in ast.walk(tree) if known else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute | ast.Call):
            first = ast.unparse(node.value).partition(".")[0]
            if first in known and isinstance(node.targets[0], ast.Name):
                known[node.targets[0].id] = known[first]
    return known


def _selected(node: ast.AST, tables: dict[str, str]) -> frozenset[str]:
    calls = [
        each
        for each in ast.walk(node)
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and each.func.id in _VERBS
        and each.args
    ]
    if not calls:
        return frozenset()
    used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return frozenset(table for name, table in tables.items() if name in used)


def _conditions(node: ast.AST, narrowing: Collection[str]) -> Iterator[str]:
    """Comparisons of a tenant's column with something that is no column itself, as in a join; and
    the helpers that make them."""
    for each in ast.walk(node):
        if isinstance(each, ast.Compare) and isinstance(each.ops[0], ast.Eq | ast.In):
            if ".c." not in ast.unparse(each.comparators[0]):
                yield ast.unparse(each)  # also organisation.c.id == organisation_id
        elif isinstance(each, ast.Call) and ast.unparse(each.func) in narrowing:
            yield "organisation_id"


def _narrowing(tree: ast.Module) -> set[str]:
    """A file's own functions that put the tenant into a query and ask nothing themselves."""
    found: set[str] = set()
    while True:
        more = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and node.name.startswith("_")
            and ".execute(" not in ast.unparse(node)
            and _NAMED.search(" ".join(_conditions(node, found)))
        }
        if more == found:
            return found
        found = more
