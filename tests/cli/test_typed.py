"""Commands that are shown can be typed."""

import sys
from pathlib import Path

import pytest

from portico.app import Running
from portico.cli.serve import serve
from portico.cli.typed import call_again

UV = {"UV_RUN_RECURSION_DEPTH": "1"}


def test_under_uv_run_it_is_typed_that_way() -> None:
    found = "/project/.venv/bin/portico"
    assert call_again(found, UV, found) == "uv run portico", "on our PATH, not on the shell's"


def test_on_the_path_it_is_one_word() -> None:
    assert call_again("/usr/bin/portico", {}, "/usr/bin/portico") == "portico"


def test_by_its_path_it_keeps_that_path() -> None:
    assert call_again(".venv/bin/portico", {}, None) == ".venv/bin/portico"
    assert call_again(".venv/bin/portico", {}, "/usr/bin/portico") == ".venv/bin/portico"


def test_as_a_module() -> None:
    program = str(Path("portico") / "cli" / "main.py")
    assert call_again(program, UV, None) == "python -m portico.cli.main"


def test_the_banner_says_commands_that_find_this_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running("http://127.0.0.1:1/v1", None, [], 1, 1)

    async def run(settings: object, *, simulated: bool, on_ready: object) -> None:
        assert callable(on_ready)
        on_ready(running)

    monkeypatch.setattr("portico.cli.serve.run", run)
    monkeypatch.setattr(sys, "argv", ["/opt/portico/bin/portico"])
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr("portico.cli.serve.log.configure", lambda *_: None)
    serve(data_dir=str(tmp_path / "my data"))
    said = capsys.readouterr().out
    for word in ("model add", "key create", 'ask "What is Portico?"'):
        assert f"/opt/portico/bin/portico {word} --data-dir '{tmp_path}/my data'" in said
