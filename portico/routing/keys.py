"""Keys of providers, kept so that the database alone gives none away.

A key is sealed with the pepper, for the one deployment it belongs to: copied to another row, or
without the pepper file, it opens nothing.
"""

from collections.abc import Sequence

from portico.callers.pepper import Pepper
from portico.kit.sealing import Seal
from portico.routing.model import Registration


class KeyUnreadable(Exception):
    """Says which deployment's key it is, and what to do."""


def seal_of(peppers: Sequence[Pepper]) -> Seal:
    return Seal([pepper.secret for pepper in peppers])


def sealed_key(seal: Seal, deployment_id: str, api_key: str) -> str:
    return seal.close(api_key, _purpose(deployment_id))


def open_key(seal: Seal, registration: Registration) -> str:
    """Raises: KeyUnreadable: another pepper sealed it, or somebody changed it."""
    found = seal.open(registration.sealed_key or "", _purpose(registration.id))
    if found is None:
        raise KeyUnreadable(
            f"the key kept for {registration.id} cannot be read with this pepper file; give it "
            f"again with `portico model rotate-key {registration.model}`"
        )
    return found


def _purpose(deployment_id: str) -> str:
    return f"provider key of {deployment_id}"
