"""`portico model` for providers: what they speak, and keys over standard input."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.accounts.service import open_accounts
from portico.app.engines import wishes
from portico.cli import model
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from portico.settings import load
from tests.routing.registered import Registry

Run = Callable[..., tuple[int, str, str]]
KEY = "sk-of-the-operator-0123456789"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    open_accounts(open_database(tmp_path), tmp_path, SystemClock())

    def run(*typed: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            model.app([*typed, "--data-dir", str(tmp_path)])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert "sk-" not in said.out + said.err, "no key is ever shown"
        assert "pt1." not in said.out + said.err, "nor what seals it"
        return ended.value.code, said.out, said.err

    return run


def key_used(data_dir: Path) -> str:
    """What a running server would send."""
    settings = load(file=None, flags={"server": {"data_dir": str(data_dir)}})
    registered = Registry(open_database(data_dir), SystemClock()).list()
    (wish,) = wishes(settings, registered)
    return wish.trouble or wish.api_key


ADD = ("add", "claude", "--kind", "anthropic", "--url", "http://h:1", "--json")


def test_a_key_from_standard_input_is_kept_and_used(run: Run, tmp_path: Path) -> None:
    code, said, _ = run(*ADD, "--api-key-stdin", stdin=f"  {KEY}\r\n")
    assert (code, json.loads(said)["key_kept"]) == (0, True)
    assert json.loads(said)["engine"] == "anthropic"
    assert key_used(tmp_path) == KEY
    assert KEY.encode() not in (tmp_path / "portico.db").read_bytes()
    (listed,) = json.loads(run("list", "--json")[1])["models"]
    assert (listed["key_kept"], "sealed_key" in listed) == (True, False)
    assert "kept" in run("list")[1]


def test_a_key_is_rotated(run: Run, tmp_path: Path) -> None:
    run(*ADD, "--api-key-env", "NOT_SET")
    assert key_used(tmp_path) == ""
    assert run("rotate-key", "claude", stdin="sk-new")[0] == 0
    assert key_used(tmp_path) == "sk-new"
    code, _, says = run("rotate-key", "other", stdin="sk-new")
    assert (code, "model list" in says) == (1, True)
    assert run("rotate-key", "claude", "--deployment", "dep_none", stdin="sk-x")[0] == 1
    assert key_used(tmp_path) == "sk-new"


def test_of_several_deployments_one_is_named(run: Run) -> None:
    ids = [json.loads(run(*ADD)[1])["id"] for _ in range(2)]
    assert run("rotate-key", "claude", stdin="sk-new")[0] == 1
    assert run("rotate-key", "claude", "--deployment", ids[1], stdin="sk-new")[0] == 0
    listed = json.loads(run("list", "--json")[1])["models"]
    assert [each["key_kept"] for each in listed] == [False, True]


@pytest.mark.parametrize(
    "typed",
    [
        (*ADD, "--api-key-stdin", "--api-key-env", "X"),
        ("add", "m", "--url", "http://h:1", "--kind", "claude"),
        ("add", "m", "--url", "ftp://h:1", "--kind", "gemini"),
        ("add", "m", "--url", "http://u:p@h:1", "--kind", "openai-responses"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, typed: tuple[str, ...]) -> None:
    assert run(*typed, stdin=KEY)[0] != 0
    assert json.loads(run("list", "--json")[1])["models"] == []


def test_no_key_and_a_key_that_smuggles(run: Run) -> None:
    for stdin in ("", "\n", "  \n", "sk-é\n"):
        assert run(*ADD, "--api-key-stdin", stdin=stdin)[0] == 2
    assert run("rotate-key", "claude", stdin="")[0] == 2
    assert json.loads(run("list", "--json")[1])["models"] == []


def test_a_key_without_its_pepper_is_said(run: Run, tmp_path: Path) -> None:
    run(*ADD, "--api-key-stdin", stdin=KEY)
    (tmp_path / "pepper").write_text(f"p1 {'ab' * 32}\n")
    assert "rotate-key claude" in key_used(tmp_path)
    (tmp_path / "pepper").unlink()
    assert "cannot be read" in key_used(tmp_path)
