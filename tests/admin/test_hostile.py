"""Whatever is sent, the answer is a refusal with a name, on both databases."""

from pathlib import Path
from typing import Any

import pytest

from tests.admin.office import office, site

pytestmark = pytest.mark.anyio
HUGE = 10**60
LATEST = "9999-12-31T23:59:59-14:00"
EARLIEST = "0001-01-01T00:00:00+14:00"
ORG, PROJECT, KEY = "<org>", "<project>", "<key>"
ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/projects/%00", None),
    ("GET", "/projects/proj_%F0%9F%A6%8A", None),
    ("GET", "/projects/" + "x" * 3_000, None),
    ("GET", "/projects/../organisations", None),
    ("GET", "/projects?after=%00", None),
    ("GET", "/projects?limit=99999999999999999999", None),
    ("GET", f"/usage?since={LATEST}", None),
    ("GET", f"/usage?since={EARLIEST}", None),
    ("GET", "/costs?until=10000-01-01", None),
    ("GET", "/audit_log?organisation_id=<org>&after=" + "9" * 400, None),
    ("GET", "/prices?at=%00", None),
    ("POST", "/organisations", {"name": "a\0b"}),
    ("POST", "/organisations", {"name": ""}),
    ("POST", "/organisations", {"name": {"a": 1}}),
    ("POST", "/organisations", "{" * 500),
    ("PATCH", "/projects/<project>", {"models": ["a\0b"]}),
    ("PATCH", "/projects/<project>", {"models": [1]}),
    ("PATCH", "/projects/<project>", {"retention": "days", "retention_days": HUGE}),
    ("PATCH", "/projects/<project>", {"retention": "days"}),
    ("PATCH", "/projects/<project>", {"name": None}),
    ("POST", "/keys", {"project_id": PROJECT, "concurrency_max": HUGE}),
    ("POST", "/keys", {"project_id": PROJECT, "concurrency_max": -1}),
    ("POST", "/keys", {"project_id": PROJECT, "expires_at": LATEST}),
    ("POST", "/keys", {"project_id": PROJECT, "expires_at": EARLIEST}),
    ("POST", "/keys", {"project_id": PROJECT, "expires_at": "2099-01-01T00:00:00"}),
    ("POST", "/keys", {"project_id": PROJECT, "networks": ["10.0.0.0/33"]}),
    ("POST", "/keys", {"project_id": PROJECT, "networks": ["10.0.0.1/8"]}),
    ("POST", "/keys", {"project_id": PROJECT, "scopes": ["generate keys:write"]}),
    ("POST", "/keys", {"project_id": PROJECT, "models": ["m"] * 1_000}),
    ("POST", "/keys", {"project_id": ORG}),
    ("PATCH", "/keys/<key>", {"concurrency_max": HUGE}),
    ("POST", "/keys/<key>/replace", {"overlap_s": HUGE}),
    ("POST", "/keys/<key>/replace", {"overlap_s": -1}),
    ("POST", "/keys/<key>/revoke", {"reason": "x" * 501}),
    ("POST", "/admin_keys", {"name": "x", "networks": ["everywhere"]}),
    ("POST", "/admin_keys", {"name": "x", "scopes": ["keys:read audit:read"]}),
    ("POST", "/admin_keys", {"name": "x", "scopes": ["keys:read"] * 101}),
    ("POST", "/admin_keys", {"name": "x", "networks": ["10.0.0.0/8"] * 101}),
    ("POST", "/admin_keys", {"name": "x", "owner_id": "user_0"}),
    ("POST", "/admin_keys", {"name": "x", "organisation_id": ORG}),
    ("POST", "/admin_keys", {"name": "x", "expires_at": EARLIEST}),
    ("PUT", "/limits", {"scope": "key", "scope_id": KEY, "requests_per_minute": HUGE}),
    ("PUT", "/limits", {"scope": "installation", "scope_id": "x", "requests_per_minute": 1}),
    ("POST", "/deployments", {"model": "m", "location": "http://h.test", "api_key": "k" * 5_000}),
    ("POST", "/deployments", {"model": "m", "location": "http://user:pw@/"}),
    ("POST", "/prices", {"model": "m", "prices": [{"meter": "x", "nano_usd_per_million": "-1"}]}),
    ("POST", "/members", {"organisation_id": ORG, "email": "no address", "role": "member"}),
    ("POST", "/members", {"organisation_id": ORG, "email": "a@b.test", "role": "king"}),
    ("POST", "/invitations", {"organisation_id": ORG, "email": "", "role": "member"}),
    ("POST", "/roles", {"organisation_id": ORG, "name": "owner", "level": "project", "scopes": []}),
]


async def test_nothing_that_is_wrong_is_done_and_nothing_fails(
    tmp_path: Path, database_url: str
) -> None:
    acme = site(tmp_path, database_url)
    org = acme.organisation()
    project = acme.project(org)
    key, _ = acme.key(project)
    operator = acme.admin_key()
    before = len(acme.rows("SELECT 1 FROM audit_event"))

    def real(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: real(inner) for name, inner in value.items()}
        if isinstance(value, str):
            return value.replace(ORG, org).replace(PROJECT, project).replace(KEY, key)
        return value

    found = []
    async with office(acme) as desk:
        for method, path, body in ASKED:
            answer = await desk.ask(method, real(path), operator, real(body))
            if answer.status not in (400, 403, 404, 409) or answer.json["error"]["code"] is None:
                found.append((method, path, body, answer.status, answer.body[:200]))
    assert found == []
    assert len(acme.rows("SELECT 1 FROM audit_event")) == before
