"""Defaults, file, environment, flags: the later wins, and a mistake is named."""

from pathlib import Path

import pytest

from portico.settings import SECTIONS, SettingsInvalid, environment_name, load


def test_the_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text('[server]\nport = 1\nhost = "a"\ndata_dir = "x"\n')
    settings = load(
        file=file,
        environment={"PORTICO_SERVER_PORT": "2", "PORTICO_SERVER_HOST": "b"},
        flags={"server": {"port": 3}},
    )
    assert (settings.server.port, settings.server.host, settings.server.data_dir) == (3, "b", "x")


def test_the_environment_is_typed() -> None:
    settings = load(
        environment={
            "PORTICO_UPSTREAM_URLS": "http://a/v1, http://b/v1",
            "PORTICO_ENGINE_ENABLED": "false",
            "PORTICO_QUEUE_WAIT_S": "2.5",
        }
    )
    assert settings.upstream.urls == ("http://a/v1", "http://b/v1")
    assert settings.engine.enabled is False
    assert settings.queue.wait_s == 2.5


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[server]\nport = 99999\n", "server.port is 99999: Expected `int` <= 65535"),
        ('[server]\nport = "no"\n', "server.port is 'no'"),
        ("[server]\nprot = 1\n", "no setting server.prot"),
        ("[sever]\nport = 1\n", r"no section \[sever\]"),
        ("server = 1\n", r"must be a section"),
        ("[server\n", "not valid TOML"),
        ('[observe]\nlog_level = "loud"\n', "observe.log_level is 'loud'"),
        ('[edge]\norigins_allowed = ["https://a.example/"]\n', "edge.origins_allowed is"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, toml: str, says: str) -> None:
    file = tmp_path / "portico.toml"
    file.write_text(toml)
    with pytest.raises(SettingsInvalid, match=says):
        load(file=file, environment={})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load(file=tmp_path / "none.toml", environment={})


def test_a_misspelt_variable_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="PORTICO_SERVER_PROT"):
        load(environment={"PORTICO_SERVER_PROT": "1"})


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text("[upstream]\napi_key = 12345\n")
    with pytest.raises(SettingsInvalid) as caught:
        load(file=file, environment={})
    assert "12345" not in str(caught.value)


def test_every_setting_can_come_from_the_environment() -> None:
    names = [environment_name(s, k) for s, kind in SECTIONS.items() for k in kind.__struct_fields__]
    assert len(names) == len(set(names))
    assert "PORTICO_EDGE_BODY_BYTES_MAX" in names


def test_origins_are_written_as_browsers_send_them() -> None:
    named = "https://app.example,http://localhost:3000,*"
    loaded = load(environment={"PORTICO_EDGE_ORIGINS_ALLOWED": named})
    assert loaded.edge.origins_allowed == ("https://app.example", "http://localhost:3000", "*")
