"""No statement forgets whose rows it is about."""

import ast

import pytest

from tests.house.statements import (
    ROOT,
    TENANT_TABLES,
    of_text,
    statements,
)
from tests.house.unscoped import SYSTEM_READS, UNSCOPED

LISTED = {f"{path}:{name}" for path, names in UNSCOPED.items() for name in names}


def test_every_statement_names_its_tenant_or_stands_in_the_list() -> None:
    unscoped = {
        f"{each.place} (line {each.line}: {', '.join(sorted(each.tables))})"
        for each in statements()
        if not each.scoped and each.place not in LISTED
    }
    assert unscoped == set(), (
        "These statements are about rows of tenants and name none in their WHERE.  Put "
        "organisation_id or project_id there; or say in tests/house/unscoped.py why not."
    )


def test_the_list_holds_nothing_that_is_gone() -> None:
    assert LISTED - {each.place for each in statements() if not each.scoped} == set()


def test_there_is_something_to_look_at() -> None:
    """Whoever breaks the search would make everything pass."""
    found = list(statements())
    assert len(found) > 150
    assert {table for each in found for table in each.tables} > TENANT_TABLES - {"webhook_endpoint"}


@pytest.mark.parametrize(
    ("source", "scoped"),
    [
        ("select(api_key).where(api_key.c.id == key_id)", False),
        ("select(api_key)", False),
        ("delete(api_key).where(api_key.c.revoked_at_ms > 0)", False),
        ("select(api_key).where(api_key.c.project_id == project_id)", True),
        ("select(api_key).where(api_key.c.organisation_id.in_(mine))", False),
        ("select(api_key, project).join(project, project.c.id == api_key.c.project_id)", False),
        ("select(project).where(project.c.organisation_id == whose)", True),
        ("rows('SELECT id, organisation_id FROM api_key WHERE id = ?')", False),
        ("rows(f'SELECT {x} FROM api_key WHERE organisation_id = ? AND {y}')", True),
        ("run('UPDATE api_key SET project_id = ? WHERE id = ?')", False),
    ],
)
def test_the_search(source: str, scoped: bool) -> None:
    text = f"from portico.db.tables import api_key, project\ndef f():\n    {source}\n"
    (found,) = of_text(text, "x.py")
    assert found.scoped is scoped


@pytest.mark.parametrize(
    ("helper", "scoped"),
    [
        ("return (api_key.c.organisation_id == whose.organisation_id,)", True),
        ("return (api_key.c.id == whose.id,)", False),
        ("return connection.execute(api_key.c.organisation_id == whose.organisation_id)", False),
    ],
)
def test_a_helper_that_narrows(helper: str, scoped: bool) -> None:
    text = (
        "from portico.db.tables import api_key\n"
        f"def _is(whose):\n    {helper}\n"
        "def f(whose):\n    delete(api_key).where(*_is(whose))\n"
    )
    (found,) = of_text(text, "x.py")
    assert found.scoped is scoped


def test_reads_while_serving_say_for_whom() -> None:
    """Through `Readers`, with `tenant`: PostgreSQL then shows nothing of others (0020)."""
    found = set()
    for path in sorted((ROOT / "portico").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            whose = ast.unparse(node.func.value)
            asks = node.func.attr in ("run", "submit") and whose.endswith("readers")
            if asks and not any(each.arg == "tenant" for each in node.keywords):
                found.add(str(path.relative_to(ROOT)))
    assert found == set(SYSTEM_READS)


def test_who_answers_http_asks_by_functions() -> None:
    """The door and the admin API write no SQL and know no table."""
    asking = {"execute", "exec_driver_sql", "rows", "scalar_one", "begin_nested"}
    for room in ("door", "admin"):
        for path in sorted((ROOT / "portico" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom):
                    assert not (node.module or "").startswith("portico.db.tables"), path
                    assert node.module != "portico.db.transaction", path
                if isinstance(node, ast.Attribute):
                    assert node.attr not in asking, f"{path}: {ast.unparse(node)}"
