"""What the code has, the documents show; what they show generated, is what the code says."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from portico.cli.main import app
from portico.door.routes import Route
from portico.errors import CATALOGUE
from portico.observe.metrics import Metrics
from portico.settings import SECTIONS, environment_name
from tests.door.test_openapi import ROUTES as SERVED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROUTES = (*SERVED, Route("POST", "/v1/webhooks/stripe", SERVED[0].handle, scope="generate"))
"""All there are: the last is served only where payments are taken."""


def test_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented(section: str) -> None:
    page = (DOCS / "reference" / "settings.md").read_text()
    for key in SECTIONS[section].__struct_fields__:
        assert f"`{environment_name(section, key)}`" in page


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_error_has_its_page(code: str) -> None:
    entry = CATALOGUE[code]
    page = (DOCS / "errors" / f"{code}.md").read_text()
    assert page.startswith(f"# {code}\n")
    assert f"**Status** {entry.status} " in page
    assert entry.remedy in page
    for heading in ("## What it means", "## What to do"):
        assert heading in page


def test_no_page_for_an_error_that_is_gone() -> None:
    assert {path.stem for path in (DOCS / "errors").glob("*.md")} == set(CATALOGUE)


def calls_in_app(name: str) -> list[list[str]]:
    """The texts among the arguments of every `name(...)` or `something.name(...)` in portico/app/."""
    found = []
    files = sorted((ROOT / "portico" / "app").glob("*.py"))
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Call):
            called = node.func
            if name == (called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)):
                arguments = (a.value for a in node.args if isinstance(a, ast.Constant))
                found.append([value for value in arguments if isinstance(value, str)])
    return found


def test_every_route_is_documented() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    for route in ROUTES:
        row = rf"^\| \[{route.method}\].*`{re.escape(route.name)}`"
        assert re.search(row, page, re.MULTILINE), f"{route.method} {route.name}"


def test_every_route_that_is_documented_exists() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    known = {f"{route.method} {route.name}" for route in ROUTES}
    assert set(re.findall(r"^## ((?:GET|POST|PUT|PATCH|DELETE) \S+)$", page, re.MULTILINE)) <= known


def test_every_command_and_flag_is_documented() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    flags = 0
    for title, command in commands("portico", app):
        _, heading, after = page.partition(f"# {title}\n")
        assert heading, title
        section = after.partition("\n#")[0]
        if command.default_command is None:  # a group
            continue
        for argument in command.assemble_argument_collection():
            flags += 1
            assert f"`{argument.name}" in section, f"{title} {argument.name}"
    assert flags > 40, "they are found at all"


def commands(title: str, group: App) -> Iterator[tuple[str, App]]:
    """Every command as it is typed, and what it is; `--help` and its like are left out, and second
    names."""
    for name in group:
        command = group[name]
        if not name.startswith("-") and name == command.name[0]:
            yield f"{title} {name}", command
            yield from commands(f"{title} {name}", command)


def test_every_metric_is_documented() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    for name in (first for first, *_ in calls_in_app("gauge")):
        assert f"`portico_{name}`" in page
    for family in Metrics().collect():
        total = "_total" if family.type == "counter" else ""
        assert f"`{family.name}{total}`" in page


def test_the_index_lists_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    pages = [path for path in DOCS.rglob("*.md") if path.parent.name != "errors"]
    for page in pages:
        if page != DOCS / "README.md":
            assert f"]({page.relative_to(DOCS)})" in index, page.relative_to(DOCS)


LINKED = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "bench" / "README.md"]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
