"""The tests' warm process is as good as a `portico` of one's own: what tests of commands rest on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portico.db.database import open_database
from tests.warm.commands import PROGRAM, run, start, warm


@pytest.mark.parametrize(
    "words", [("key", "list"), ("terms", "show"), ("key", "revoke", "none"), ("no-such-word",)]
)
def test_it_says_what_a_cold_one_says_and_ends_alike(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    open_database(tmp_path)
    typed = [*words, "--data-dir", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "80"}
    cold = subprocess.run(
        [sys.executable, str(PROGRAM), *typed],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    done = start(*typed, env=environment)
    assert done.communicate(60) == (cold.stdout, cold.stderr)
    assert done.returncode == cold.returncode


def test_a_command_has_a_folder_and_an_environment_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        open_database(folder / "portico-data")
        priced = run("price", "set", name, "--input", "1", "--output", "2", folder=folder)
        assert priced.returncode == 0, priced.stderr
        shown = run("price", "list", folder=folder).stdout
        assert [each for each in ("one", "two") if each in shown] == [name]
    elsewhere = start("key", "list", env={**os.environ, "PORTICO_SERVER_DATA_DIR": str(tmp_path)})
    assert f"there is no Portico data in {tmp_path}" in elsewhere.communicate(60)[1]


def test_a_signal_ends_it_and_is_told() -> None:
    asked = start("key", "create", "--data-dir", "/dev/null/nowhere")
    assert asked.wait(30) > 0
    asked.communicate()
    stuck = start("serve", "--port", "no number")
    stuck.kill()
    assert stuck.wait(30) in (-signal.SIGKILL, 2)  # it may have ended by itself
    stuck.communicate()


def test_the_word_on_the_path_hands_on_output_and_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        ["portico", "key", "list"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{warm().folder}{os.pathsep}{os.environ['PATH']}",
            "WARM_PORTICO": warm().address,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 4
    assert done.stdout == ""
    assert "there is no Portico data in portico-data" in done.stderr
