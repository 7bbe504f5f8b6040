"""`portico serve` says what it did, or one clear sentence and a code when it cannot."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

from portico.app import DEMO_MODEL
from tests.whole.conftest import COLD, Served, portico
from tests.whole.wire import ask, eventually, get, question

Serve = Callable[..., Served]

# The trial request to sim-stall never ends by itself: a drain would wait for it.
BEHIND = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}


def test_a_used_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = portico("serve", "--port", port, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 3
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert done.stderr.count("\n") <= 3
    assert not (tmp_path / "data").exists(), "nothing is half-started"


def test_an_unreadable_model(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\x00" * 100)
    for path in (broken, tmp_path / "none.gguf"):
        done = portico(
            "serve", "--port", "0", "--data-dir", str(tmp_path / "d"), "--model", str(path)
        )
        assert done.returncode == 5
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "portico.toml").write_text("[server]\nport = 123456\n")
    done = portico("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "portico.toml: server.port is 123456" in done.stderr
    assert not (tmp_path / "portico-data").exists()


def test_a_second_server_on_one_data_directory(serve: Serve) -> None:
    served = serve("--simulated")
    second = portico("serve", "--port", "0", "--data-dir", str(served.data_dir))
    assert second.returncode == 4
    assert str(served.process.pid) in second.stderr
    assert ask(served, model="sim-echo", messages=question("hi"))[0] == 200


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    done = portico("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "portico.db").write_bytes(b"this is not a database" * 100)
    done = portico("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 4
    assert "portico.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_key_is_shown_once(serve: Serve) -> None:
    first = serve("--simulated", program=COLD)
    assert first.api_key.startswith("pk_live_")
    assert first.stop() == 0
    again = serve("--simulated", data_dir=first.data_dir)
    assert again.api_key == ""
    again.api_key = first.api_key
    assert ask(again, model="sim-echo", messages=question("hi"))[0] == 200


def test_keys_by_command(serve: Serve) -> None:
    served = serve("--simulated")
    made = served.cli("key", "create", "--name", "second", "--test")
    assert made["api_key"].startswith("pk_test_")
    served.api_key = made["api_key"]
    assert get(served, "/v1/models")[0] == 200
    assert "second" in [key["name"] for key in served.cli("key", "list")["keys"]]
    served.cli("key", "revoke", made["id"])
    eventually(lambda: get(served, "/v1/models")[0] == 401)
    _, _, body = get(served, "/v1/models")
    assert json.loads(body)["error"]["code"] == "api_key_revoked"


def test_another_server_as_upstream(serve: Serve, tmp_path: Path) -> None:
    behind = serve("--simulated", data_dir=tmp_path / "behind", env=BEHIND)
    front = serve(
        "--upstream",
        behind.base_url,
        data_dir=tmp_path / "front",
        env={"PORTICO_UPSTREAM_API_KEY": behind.api_key, "PORTICO_ENGINE_ENABLED": "false"},
    )
    status, _, body = ask(front, model="sim-echo", messages=question("hi there"))
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "hi there"
    (ours,) = front.cli("usage", "--list", "1")["records"]
    theirs = behind.cli("usage", "--list", "1")["records"][0]
    assert ours["meters"] == theirs["meters"]


def test_models_by_command(serve: Serve, tmp_path: Path) -> None:
    behind = serve("--simulated", data_dir=tmp_path / "behind", env=BEHIND)
    front = serve(
        data_dir=tmp_path / "front",
        env={"BEHIND_KEY": behind.api_key, "PORTICO_ENGINE_ENABLED": "false"},
    )
    front.cli(
        "model", "add", "echo", "--upstream", behind.base_url,
        "--upstream-model", "sim-echo", "--api-key-env", "BEHIND_KEY",
    )  # fmt: skip
    eventually(lambda: ask(front, model="echo", messages=question("hi"))[0] != 404)
    status, _, body = ask(front, model="echo", messages=question("hi"))
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "hi"
    assert "echo" in [model["model"] for model in front.cli("model", "list")["models"]]
    front.cli("model", "remove", "echo")
    eventually(lambda: ask(front, model="echo", messages=question("hi"))[0] == 404)


def test_ask(served: Served) -> None:
    done = portico("ask", "What is Portico?", "--data-dir", str(served.data_dir), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["text"]
    assert said["output_tokens"] > 0
    assert {"input_tokens", "first_token_ms", "tokens_per_s", "model"} <= set(said)


def test_ask_with_nobody_there(tmp_path: Path) -> None:
    done = portico("ask", "hello", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "portico serve" in done.stderr


def test_doctor(served: Served) -> None:
    done = portico("doctor", "--data-dir", str(served.data_dir), "--port", "0", "--json")
    report = json.loads(done.stdout)
    named = {check["name"] for check in report["checks"]}
    assert {"python", "platform", "engine", "database", "port", "clock", "disk"} <= named
    assert report["ok"], report
    assert done.returncode == 0


def test_without_the_wheel(serve: Serve, tmp_path: Path) -> None:
    """The embedded engine cannot be loaded: Portico starts, says so, and serves what it can."""
    program = tmp_path / "no_wheel.py"
    program.write_text(
        "import functools, sys\n"
        "import portico.app.engines\n"
        "from portico.cli.main import main\n"
        "from portico.engines.embedded.engine import start_embedded\n"
        "from portico.engines.embedded.wheel import probe_wheel\n"
        "broken = (sys.executable, '-c', 'print(\"no wheel for this system\"); exit(1)')\n"
        "portico.app.engines.start_embedded = functools.partial(start_embedded, command=broken)\n"
        "portico.app.engines.probe_wheel = functools.partial(probe_wheel, broken)\n"
        "main()\n"
    )
    served = serve("--simulated", program=(str(program),))
    assert ask(served, model="sim-echo", messages=question("hi"))[0] == 200
    _, _, body = get(served, "/v1/models")
    assert "portico-demo" not in [model["id"] for model in json.loads(body)["data"]]


def test_the_aiohttp_transport(serve: Serve, tmp_path: Path) -> None:
    behind = serve("--simulated", data_dir=tmp_path / "behind", env=BEHIND)
    front = serve(
        "--upstream",
        behind.base_url,
        data_dir=tmp_path / "front",
        env={
            "PORTICO_UPSTREAM_API_KEY": behind.api_key,
            "PORTICO_UPSTREAM_TRANSPORT": "aiohttp",
            "PORTICO_ENGINE_ENABLED": "false",
        },
    )
    status, _, body = ask(front, model="sim-echo", messages=question("hi there"), stream=True)
    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_model_file_of_ones_own(serve: Serve, tmp_path: Path) -> None:
    own = tmp_path / "my-model.gguf"
    own.write_bytes(DEMO_MODEL.read_bytes())
    # As many threads as there are cores wait for each other in a loop, where others have those cores.
    served = serve("--model", str(own), env={"PORTICO_ENGINE_THREADS": "1"})
    status, _, body = ask(
        served, model="my-model", messages=question("Hello"), max_completion_tokens=8
    )
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"]


def test_doctor_knows_its_own_server(served: Served) -> None:
    port = str(served.host_port[1])
    done = portico("doctor", "--data-dir", str(served.data_dir), "--port", port, "--json")
    (row,) = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "port"]
    assert row["ok"]
    assert str(served.process.pid) in row["says"]
