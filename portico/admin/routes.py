"""Everything that can be asked of the admin API."""

from portico.admin import catalogue, keys, limits, organisations, people, reports
from portico.admin.desk import ROOT, Desk
from portico.admin.operation import Operation
from portico.admin.webhooks import endpoints
from portico.door.endpoints.description import Description
from portico.door.endpoints.openapi import document
from portico.door.routes import Route

TITLE = "Portico admin API"


def operations() -> tuple[Operation, ...]:
    return (
        *organisations.operations(),
        *people.operations(),
        *keys.operations(),
        *limits.operations(),
        *catalogue.operations(),
        *reports.operations(),
        *endpoints.operations(),
    )


def routes(desk: Desk, version: str) -> list[Route]:
    """version: of the package, for the document."""
    made = [desk.route(operation) for operation in operations()]
    description = Description(lambda: document(made, TITLE, version))
    told = Route("GET", f"{ROOT}/openapi.json", description.show, "This document.", open=True)
    made.append(told)
    return made
