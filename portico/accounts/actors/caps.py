"""How much of everything an organisation may make for itself.  Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """Of what is alive: what was revoked, archived, disabled, accepted or has run out is not counted.

    project_keys: of one project, without those that live for minutes.  replaced_keys: of one
    project, that are in their overlap.
    """

    projects: int = 1_000
    project_keys: int = 1_000
    replaced_keys: int = 1_000
    service_accounts: int = 1_000
    invitations: int = 200
    roles: int = 100
    admin_keys: int = 500
    webhooks: int = 50


CAPS = Caps()
