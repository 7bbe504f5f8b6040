"""Each rule of `portico doctor --security` finds what it is there for, and nothing at a safe server."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portico.cli.doctor.facts import gathered, strange_paths
from portico.cli.doctor.hardening import RULES, Facts, KeyFacts, harden, is_public
from portico.settings import load
from tests.whole.conftest import portico

DAY_MS = 86_400_000
NOW_MS = 2_000_000_000_000
YOUNG = KeyFacts("key_young", "young", NOW_MS - DAY_MS, None, None, NOW_MS)
STRONG = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


def facts(flags: dict[str, dict[str, Any]] | None = None, **changed: Any) -> Facts:
    settings = load(environment={}, flags=flags or {})
    safe = Facts(
        settings,
        {".": 0o700, "pepper": 0o600, "receipt-keys": 0o600, "portico.db": 0o600},
        None,
        (),
        (),
        (YOUNG,),
        NOW_MS,
    )
    return replace(safe, **changed)


PUBLIC: dict[str, Any] = {"server": {"host": "0.0.0.0"}}
UNSAFE: dict[str, tuple[str, Facts]] = {
    "pepper that others read": ("secrets", facts(modes={"pepper": 0o640})),
    "receipt keys that others read": ("secrets", facts(modes={"receipt-keys": 0o604})),
    "data that others write": ("data dir", facts(modes={".": 0o770})),
    "data that everybody reads": ("data dir", facts(modes={".": 0o755, "portico.db": 0o644})),
    "secrets in a file": ("settings", facts(config_mode=0o644)),
    "root": ("user", facts(runs_as_root=True)),
    "no TLS": ("tls", facts(PUBLIC)),
    "any Host": ("hosts", facts(PUBLIC)),
    "one address takes all": ("per ip", facts(PUBLIC)),
    "metrics for everybody": ("metrics", facts(PUBLIC)),
    "a weak token": ("metrics", facts({"observe": {"metrics_token": "aaaaaaaaaaaaaaaaaaaa"}})),
    "admin in public": ("admin", facts(PUBLIC)),
    "admin on a port in public": (
        "admin", facts({"admin": {"port": 9, "host": "192.0.2.1"}}),
    ),
    "everybody a proxy": ("proxies", facts({"server": {"proxies_trusted": ("0.0.0.0/0",)}})),
    "an engine in public": ("engines", facts(exposed=("http://127.0.0.1:8000/v1",))),
    "a key in the clear": (
        "upstreams",
        facts({"upstream": {"urls": ("http://10.0.0.1/v1",), "api_key": "k"}}),
    ),
    "a weak secret": ("webhooks", facts({"alerts": {"webhook_secret": "whsec_" + "A" * 32}})),
    "a weak secret of Stripe's": ("webhooks", facts({"stripe": {"webhook_secret": "a" * 32}})),
    "webhooks inward": ("inward", facts({"alerts": {"private_addresses_allowed": True}})),
    "files without TLS": ("media", facts({"media": {"fetch": True, "fetch_http": True}})),
    "any page": ("pages", facts({"edge": {"origins_allowed": ("*",)}})),
    "a shared prefix cache": ("prefixes", facts({"engine": {"share_prefix_cache": True}})),
    "a strange .pth": ("packages", facts(strange_paths=("litellm_init.pth",))),
    "an old key": ("old keys", facts(keys=(replace(YOUNG, created_at_ms=NOW_MS - 366 * DAY_MS),))),
    "a revoked key at work": (
        "revoked", facts(keys=(replace(YOUNG, revoked_at_ms=NOW_MS - DAY_MS),)),
    ),
}  # fmt: skip
SAFE = {
    "as it comes": facts(),
    "in public, with care": facts(
        {
            "server": {"host": "0.0.0.0", "https": True, "hosts_allowed": ("api.example",)},
            "edge": {"connections_per_ip_max": 200},
            "observe": {"metrics_token": "k2J8xQ0vR7tY5mZ1wL9c"},
            "admin": {"port": 8081, "host": "127.0.0.1"},
            "alerts": {"webhook_secret": STRONG},
            "media": {"fetch": True},
        }
    ),
    "an old key with an end, one that is revoked": facts(
        keys=(
            replace(YOUNG, created_at_ms=0, expires_at_ms=NOW_MS + DAY_MS),
            replace(YOUNG, created_at_ms=0, revoked_at_ms=NOW_MS - DAY_MS, last_used_at_ms=1),
        )
    ),
    "engines elsewhere, by TLS": facts(
        {"upstream": {"urls": ("https://x.example/v1", "http://127.0.0.1/v1"), "api_key": "k"}}
    ),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_it_is_found_and_something_is_to_be_done(name: str) -> None:
    rule, unsafe = UNSAFE[name]
    (check,) = (check for check in harden(unsafe) if check.name == rule)
    assert not check.ok
    assert check.says
    assert check.fix.endswith((".", "`."))


@pytest.mark.parametrize("name", SAFE)
def test_a_safe_server_passes(name: str) -> None:
    assert [check for check in harden(SAFE[name]) if not check.ok] == []


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _ in UNSAFE.values()} == {check.name for check in harden(facts())}
    assert len(RULES) == 20


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True),
     ("192.168.1.1", True), ("api.example", True)],
)  # fmt: skip
def test_where_others_reach(host: str, public: bool) -> None:
    assert is_public(host) == public


def test_only_paths_that_run_something_are_strange(tmp_path: Path) -> None:
    (tmp_path / "plain.pth").write_text("/somewhere/else\n")
    (tmp_path / "_virtualenv.pth").write_text("import _virtualenv\n")
    (tmp_path / "litellm_init.pth").write_text("import os; os.system('true')\n")
    assert strange_paths(tmp_path) == ("litellm_init.pth",)


def test_the_command_says_what_is_wrong_and_ends_so(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("p1 0\n")
    (tmp_path / "pepper").chmod(0o644)
    done = portico("doctor", "--security", "--data-dir", str(tmp_path), "--json")
    found = {check["name"]: check["ok"] for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert not found["secrets"]
    assert len(found) == len(RULES)


def test_what_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    settings = load(environment={}, flags={"server": {"data_dir": str(tmp_path / "none")}})
    assert gathered(settings, tmp_path / "none.toml").keys == ()
