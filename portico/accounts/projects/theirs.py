"""Which organisations exist for whoever asks.  What he may do there is asked by the service that he
asks: no scope is asked for here, and nothing here is an answer by itself."""

from portico.accounts.actors.model import Errand, unknown
from portico.accounts.projects import store
from portico.accounts.projects.model import Organisation


def theirs(errand: Errand, organisation_id: str) -> Organisation:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    if errand.by.organisation_id not in (None, organisation_id):
        raise unknown("organisation", organisation_id)
    found = store.organisations(errand.connection, organisation_id)
    if not found:
        raise unknown("organisation", organisation_id)
    return found[0]
