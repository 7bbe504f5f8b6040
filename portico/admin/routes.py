"""Everything that can be asked of the admin API."""

from typing import Any

from msgspec import Struct

from portico.admin.catalogue import deployments, prices, terms
from portico.admin.desk import ROOT, Desk
from portico.admin.operation import Operation
from portico.admin.reports import log, sums
from portico.admin.tenants import keys, limits, organisations, people
from portico.admin.webhooks import endpoints
from portico.door.endpoints.description import Description
from portico.door.endpoints.openapi import document
from portico.door.routes import Route

TITLE = "Portico admin API"


class Document(Struct):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, str]
    security: list[dict[str, list[str]]]
    paths: dict[str, Any]
    components: dict[str, Any]


def operations() -> tuple[Operation, ...]:
    return (
        *organisations.operations(),
        *people.operations(),
        *keys.operations(),
        *limits.operations(),
        *terms.operations(),
        *deployments.operations(),
        *prices.operations(),
        *sums.operations(),
        *log.operations(),
        *endpoints.operations(),
    )


def routes(desk: Desk, version: str) -> list[Route]:
    """version: of the package, for the document."""
    made = [desk.route(operation) for operation in operations()]
    description = Description(lambda: document(made, TITLE, version))
    said = "This document."
    shown = f"{ROOT}/openapi.json"
    made.append(Route("GET", shown, description.show, said, open=True, answer=Document))
    return made
