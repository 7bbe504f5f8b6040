"""What the code has, the documents show; what they show generated, is what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

from portico.errors import CATALOGUE
from portico.settings import SECTIONS, environment_name

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


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
