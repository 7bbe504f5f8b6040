"""What README and the guides show is what happens: every command and every Python block is run."""

import shutil
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from portico.settings import load
from tests.docs.blocks import ROOT, blocks_of
from tests.docs.stage import Stage

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = [ROOT / "README.md", *GUIDES, ROOT / "docs" / "reference" / "api.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in blocks_of(page) if not block.not_run]
    if any("$ curl " in block.text for block in blocks) and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    monkeypatch.chdir(tmp_path)
    stage = Stage(tmp_path, cold=page.stem == "README")
    try:
        for block in blocks:
            if block.language == "console":
                difference = stage.console(block)
                for name, value in stage.exported.items():
                    monkeypatch.setenv(name, value)
            elif block.language == "python":
                difference = stage.python(block)
            else:
                continue
            assert not difference, difference
    finally:
        stage.end()


@pytest.mark.parametrize("example", list(find_examples(*PAGES)), ids=str)
def test_python_is_clean(example: CodeExample, eval_example: EvalExample) -> None:
    # Names come from the blocks above; that they exist is seen when the page is run.
    eval_example.set_config(isort=True, ruff_ignore=["F821", "T201"])
    eval_example.lint_ruff(example)


def toml_blocks() -> list[tuple[str, str]]:
    pages = [*PAGES, ROOT / "docs" / "reference" / "settings.md"]
    blocks = [block for page in pages for block in blocks_of(page)]
    return [(block.where, block.text) for block in blocks if block.language == "toml"]


@pytest.mark.parametrize(("where", "text"), toml_blocks(), ids=lambda value: value[:60])
def test_settings_that_are_shown_are_accepted(where: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text(text)
    load(file=file, flags={})
