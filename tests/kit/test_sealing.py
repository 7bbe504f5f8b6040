"""A sealed secret opens only whole, in its place, under its key."""

import stat
from pathlib import Path

import pytest

from portico.kit.sealing import Seal, SealBroken


def test_a_secret_comes_back(tmp_path: Path) -> None:
    sealed = Seal.of_file(tmp_path / "key").seal("dep_1", "sk-secret")
    assert b"sk-secret" not in sealed
    assert Seal.of_file(tmp_path / "key").open("dep_1", sealed) == "sk-secret"


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    Seal.of_file(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("flipped", range(0, 37, 6))
def test_a_changed_byte_is_found(tmp_path: Path, flipped: int) -> None:
    seal = Seal.of_file(tmp_path / "key")
    sealed = bytearray(seal.seal("dep_1", "sk-secret"))
    sealed[flipped] ^= 1
    with pytest.raises(SealBroken):
        seal.open("dep_1", bytes(sealed))


def test_a_secret_cannot_be_moved_or_opened_by_another_key(tmp_path: Path) -> None:
    sealed = Seal.of_file(tmp_path / "key").seal("dep_1", "sk-secret")
    with pytest.raises(SealBroken):
        Seal.of_file(tmp_path / "key").open("dep_2", sealed)
    with pytest.raises(SealBroken):
        Seal.of_file(tmp_path / "other").open("dep_1", sealed)
    with pytest.raises(SealBroken):
        Seal.of_file(tmp_path / "key").open("dep_1", b"short")
