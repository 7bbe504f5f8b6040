"""`portico invitation`: ask somebody to join."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.actors.model import Errand
from portico.accounts.people.invitations import (
    accept_invitation,
    invite,
    list_invitations,
    revoke_invitation,
)
from portico.accounts.people.model import Invitation, IssuedInvitation
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.tenants.errands import (
    DataDir,
    Json,
    Organisation,
    done,
    duration_ms,
    meant,
    peppers_of,
    seen,
)
from portico.cli.words import moment
from portico.errors import Refusal
from portico.kit.clock import SystemClock

app = App(name="invitation", help="Ask people to join an organisation.")


@app.command
def create(
    email: str,
    /,
    *,
    role: Annotated[
        str,
        Parameter(help="What he will be in the organisation; `portico role list` lists them."),
    ] = "member",
    expires_in: Annotated[str, Parameter(help="How long it counts, such as 7d or 12h.")] = "7d",
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make an invitation for one address.  What opens it is shown once and stored nowhere: send it
    there.

    Example: `portico invitation create bob@example.org --role admin`
    """
    peppers = peppers_of(data_dir)
    lives_ms = duration_ms(expires_in, "--expires-in")

    def act(errand: Errand) -> IssuedInvitation:
        organisation_id = meant(errand, organisation)
        return invite(errand, peppers, organisation_id, email, role, lives_ms)

    issued = done(data_dir, act)
    if json:
        say_json({**asdict(issued.invitation), "token": issued.token})
        return
    made = issued.invitation
    console.print(issued.token, style="bold")
    console.print(
        f"{made.id}  {made.email}  {made.role}  until {moment(made.expires_at_ms)} UTC  "
        "(shown only now)",
        markup=False,
    )


@app.command(name="list")
def list_all(
    *, organisation: Organisation = None, data_dir: DataDir = None, json: Json = False
) -> None:
    """All invitations, oldest first, with what became of them."""
    found = seen(data_dir, lambda errand: list_invitations(errand, meant(errand, organisation)))
    if json:
        say_json({"invitations": [asdict(each) for each in found]})
        return
    now_ms = SystemClock().wall_ms()
    say_table(
        ("id", "email", "role", "invited by", "state"),
        [(each.id, each.email, each.role, each.invited_by, _state(each, now_ms)) for each in found],
    )


@app.command
def revoke(invitation: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Take INVITATION back; nobody can accept it any more."""
    after = done(data_dir, lambda errand: revoke_invitation(errand, invitation))
    if json:
        say_json(asdict(after))
        return
    console.print(f"{after.id} is revoked.", markup=False)


@app.command
def accept(
    token: str,
    /,
    *,
    email: Annotated[str, Parameter(help="The address it was made for.")],
    name: Annotated[
        str, Parameter(help="Of somebody who is not known here yet; the address if left out.")
    ] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Join, with what the invitation showed when it was made.  It counts once."""
    peppers = peppers_of(data_dir)
    joined = done(data_dir, lambda errand: accept_invitation(errand, peppers, token, email, name))
    if isinstance(joined, Refusal):
        stop(Exit.FAILED, joined.message, fix=joined.remedy)
    member, issued = joined.member, joined.issued
    if json:
        say_json({**asdict(member), "api_key": issued.secret})
        return
    console.print(f"{member.email} is {member.role} of {member.organisation_id} now.", markup=False)
    console.print(issued.secret, style="bold")
    console.print(f"{issued.key.id}  {issued.key.name}  (shown only now; keep it safe)")


def _state(each: Invitation, now_ms: int) -> str:
    if each.accepted_at_ms is not None:
        return f"accepted {moment(each.accepted_at_ms)}"
    if each.revoked_at_ms is not None:
        return f"revoked {moment(each.revoked_at_ms)}"
    word = "until" if now_ms < each.expires_at_ms else "expired"
    return f"{word} {moment(each.expires_at_ms)}"
