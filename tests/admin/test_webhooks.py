"""Webhooks over the admin API."""

from pathlib import Path

import pytest

from tests.admin.office import office, site

pytestmark = pytest.mark.anyio
URL = "https://hooks.example/portico"


async def test_it_is_made_tried_replayed_and_deleted(tmp_path: Path) -> None:
    acme = site(tmp_path)
    secret = acme.admin_key()
    project_id = acme.project(acme.organisation("Acme"))
    async with office(acme) as desk:
        body = {"project_id": project_id, "url": URL, "kinds": ["key.revoked"]}
        made = (await desk.ask("POST", "/webhooks", secret, body)).json
        assert (made["object"], made["project_id"], made["kinds"]) == (
            "webhook",
            project_id,
            ["key.revoked"],
        )
        one = f"/webhooks/{made['id']}"
        shown = (await desk.ask("GET", one, secret)).json
        assert shown == {name: made[name] for name in made if name != "secret"}
        rotated = (await desk.ask("POST", f"{one}/rotate", secret, {"overlap_s": 60})).json
        assert rotated["secret"] != made["secret"]
        assert rotated["former_secret_until"] is not None
        sent = (await desk.ask("POST", f"{one}/test", secret)).json
        assert (sent["kind"], sent["state"]) == ("webhook.test", "waiting")
        listed = (await desk.ask("GET", f"{one}/deliveries", secret)).json
        assert [each["id"] for each in listed["data"]] == [sent["id"]]
        its = f"/webhook_deliveries/{sent['id']}"
        assert (await desk.ask("GET", its, secret)).json["tried"] == []
        again = (await desk.ask("POST", f"{its}/replay", secret)).json
        assert again["id"] == sent["id"]
        changed = (await desk.ask("PATCH", one, secret, {"kinds": None, "disabled": True})).json
        assert (changed["kinds"], changed["disabled_at"] is None) == (None, False)
        assert (await desk.ask("POST", f"{its}/replay", secret)).status == 409
        assert (await desk.ask("DELETE", one, secret)).status == 200
        assert (await desk.ask("GET", "/webhooks", secret)).json["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"url": URL},
        {"url": "https://169.254.169.254/", "project_id": "<project>"},
        {"url": "http://hooks.example/", "project_id": "<project>"},
        {"url": URL, "project_id": "<project>", "kinds": ["*"]},
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, body: dict[str, object]) -> None:
    acme = site(tmp_path)
    project_id = acme.project(acme.organisation("Acme"))
    if "project_id" in body:
        body = {**body, "project_id": project_id}
    async with office(acme) as desk:
        assert (await desk.ask("POST", "/webhooks", acme.admin_key(), body)).status == 400
