"""What a server thinks that a project keeps, as its callers would be told."""

from portico.keeping.room import Room

_MORE = 2**62


def held_bytes(room: Room, project_id: str) -> int:
    room.grew(project_id, _MORE)
    refusal = room.refusal(project_id)
    room.grew(project_id, -_MORE)
    assert refusal is not None
    return int(refusal.value) - _MORE
