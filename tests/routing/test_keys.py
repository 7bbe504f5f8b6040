"""Keys that are kept: for one deployment, with one pepper, and never to be seen."""

from dataclasses import replace

import pytest

from portico.callers.pepper import Pepper
from portico.db.database import Database
from portico.routing.keys import KeyUnreadable, open_key, seal_of, sealed_key
from portico.routing.registry import UnknownDeployment
from tests.db.storage import HandClock
from tests.routing.registered import Registry

OLD, NEW = Pepper("p1", b"o" * 32), Pepper("p2", b"n" * 32)
SEAL = seal_of([OLD])
KEY = "sk-of-the-operator"


def registry(database: Database) -> Registry:
    return Registry(database, HandClock())


def add(database: Database, model: str = "m"):
    return registry(database).add(
        model=model, location="http://h", sealed=lambda id: sealed_key(SEAL, id, KEY)
    )


def test_a_kept_key_is_read_again(database: Database) -> None:
    add(database)
    (found,) = registry(database).list()
    assert open_key(SEAL, found) == KEY
    assert found.sealed_key is not None
    assert KEY not in found.sealed_key
    assert found.sealed_key not in repr(found)


def test_a_key_copied_to_another_deployment_opens_nothing(database: Database) -> None:
    one, other = add(database), add(database)
    assert one.sealed_key != other.sealed_key, "though the key is the same"
    with pytest.raises(KeyUnreadable, match="rotate-key m"):
        open_key(SEAL, replace(other, sealed_key=one.sealed_key))


def test_without_the_pepper_a_key_is_lost(database: Database) -> None:
    with pytest.raises(KeyUnreadable):
        open_key(seal_of([NEW]), add(database))
    assert open_key(seal_of([OLD, NEW]), add(database)) == KEY, "an older pepper still opens"


def test_a_changed_key_is_none(database: Database) -> None:
    kept = add(database)
    assert kept.sealed_key is not None
    for changed in ("", "pt1.", kept.sealed_key[:-2], kept.sealed_key + "AA", KEY):
        with pytest.raises(KeyUnreadable):
            open_key(SEAL, replace(kept, sealed_key=changed))


def test_a_new_key_takes_the_place_of_whatever_was_said_before(database: Database) -> None:
    here = registry(database)
    by_name = here.add(model="m", location="http://h", credential_env="A_VARIABLE")
    assert here.put_key("m", "", lambda id: sealed_key(SEAL, id, "sk-new")) == by_name.id
    (found,) = here.list()
    assert (open_key(SEAL, found), found.credential_env) == ("sk-new", None)


def test_of_several_deployments_one_has_to_be_named(database: Database) -> None:
    here, (one, other) = registry(database), (add(database), add(database))
    foreign = add(database, "another")
    for wrong in ("", "dep_none", foreign.id):
        with pytest.raises(UnknownDeployment):
            here.put_key("m", wrong, lambda id: sealed_key(SEAL, id, "sk-new"))
    here.put_key("m", other.id, lambda id: sealed_key(SEAL, id, "sk-new"))
    keys = {each.id: open_key(SEAL, each) for each in here.list()}
    assert keys == {one.id: KEY, other.id: "sk-new", foreign.id: KEY}
