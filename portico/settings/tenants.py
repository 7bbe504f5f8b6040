"""What the organisations that are let in may make for themselves."""

from typing import Annotated

from msgspec import Meta, Struct


class Organisation(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of everything one organisation may make with its own credentials: what is alive is
    counted.  The operator may make more for it."""

    projects_max: Annotated[int, Meta(ge=0, description="Projects.")] = 1_000
    project_keys_max: Annotated[
        int,
        Meta(
            ge=0,
            description="API keys of one project; as many again may be in the overlap after they "
            "were replaced.",
        ),
    ] = 1_000
    service_accounts_max: Annotated[int, Meta(ge=0, description="Service accounts.")] = 1_000
    invitations_max: Annotated[int, Meta(ge=0, description="Invitations that are open.")] = 200
    roles_max: Annotated[int, Meta(ge=0, description="Roles of its own.")] = 100
    admin_keys_max: Annotated[int, Meta(ge=0, description="Keys of the admin API.")] = 500
    webhooks_max: Annotated[int, Meta(ge=0, description="Webhooks.")] = 50
