"""What went into the spool comes out, once and in order, also after a crash in the middle."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.db.spool import FILE_NAME, Spool, claim

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text())
ROWS = st.lists(st.tuples(st.sampled_from(["usage", "other"]), st.tuples(VALUES, VALUES)))


@given(st.lists(ROWS, max_size=5))
def test_every_row_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, tuple[object, ...]]]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 1_000)
    for batch in batches:
        spool.append(batch)
    spool.close()
    again = Spool(folder, 1_000)
    expected = [row for batch in batches for row in batch]
    assert again.read() == expected
    assert again.rows == len(expected)
    again.close()


def test_it_goes_on_where_an_earlier_process_stopped(tmp_path: Path) -> None:
    for number in range(3):
        spool = Spool(tmp_path, 1_000)
        spool.append([("usage", (number,))])
        spool.close()
    spool = Spool(tmp_path, 1_000)
    assert [row for _, row in spool.read()] == [(0,), (1,), (2,)]
    spool.close()


def test_cleared_rows_stay_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    spool.append([("usage", (n,)) for n in range(9)])
    spool.clear()
    spool.append([("usage", (100,))])
    assert spool.read() == [("usage", (100,))]
    spool.close()


@pytest.mark.parametrize("count", [1, 9, 3_000])
def test_cleared_rows_cannot_be_read_in_the_file(tmp_path: Path, count: int) -> None:
    """What was answered is in them: once deleted from the database it would be here for ever."""
    spool = Spool(tmp_path, 2_000_000)
    spool.append([("usage", (n, "quince " * 70)) for n in range(count)])
    size_bytes = (tmp_path / FILE_NAME).stat().st_size
    assert b"quince" in (tmp_path / FILE_NAME).read_bytes()
    spool.clear()
    assert (tmp_path / FILE_NAME).read_bytes() == bytes(size_bytes), "and its space stays taken"
    spool.close()


def test_what_cannot_be_kept_is_logged_without_long_texts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, 0)
    spool.append([("usage", ("req_1", 2**70, "quince " * 70))])
    assert ("req_1" in caplog.text, "quince" in caplog.text) == (True, False)
    spool.close()


@pytest.mark.parametrize("cut_bytes", range(1, 12))
def test_a_row_torn_by_a_crash_does_not_hide_those_before_it(
    tmp_path: Path, cut_bytes: int
) -> None:
    spool = Spool(tmp_path, 0)
    spool.append([("usage", (1,)), ("usage", (2,))])
    spool.close()
    file = tmp_path / FILE_NAME
    whole = file.read_bytes()[:-8]  # without the end mark
    file.write_bytes(whole[:-cut_bytes])
    again = Spool(tmp_path, 0)
    assert again.read() == [("usage", (1,))]
    again.append([("usage", (3,))])
    assert again.read() == [("usage", (1,)), ("usage", (3,))]
    again.close()


def test_the_reserve_is_taken_before_it_is_needed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 3_000_000)
    spool.append([("usage", (n,)) for n in range(1_000)])
    blocks_bytes = (tmp_path / FILE_NAME).stat().st_blocks * 512
    assert blocks_bytes >= 3_000_000
    assert (tmp_path / FILE_NAME).stat().st_size == 3_000_000
    spool.close()


def test_servers_that_share_a_folder_have_a_spool_each_and_inherit_from_the_dead(
    tmp_path: Path,
) -> None:
    first, second, third = (claim(tmp_path, 1_000) for _ in range(3))
    assert sorted(path.name for path in tmp_path.glob("portico.spool*")) == [
        "portico.spool",
        "portico.spool.1",
        "portico.spool.2",
    ]
    second[0].append([("usage", (2,))])
    third[0].append([("usage", (3,))])
    for file in third:
        file.close()
    heir = claim(tmp_path, 1_000)  # the third's own place, with what it left
    assert heir[0].read() == [("usage", (3,))]
    for file in (*first, *second, *heir):
        file.close()
    alone = claim(tmp_path, 1_000)
    assert alone[0].read() == [("usage", (2,)), ("usage", (3,))]
    emptied = Spool(tmp_path, 0, "portico.spool.1")
    assert emptied.rows == 0
    emptied.close()
    for file in alone:
        file.close()


def test_a_spool_has_one_owner(tmp_path: Path) -> None:
    owner = Spool(tmp_path, 0)
    with pytest.raises(BlockingIOError):
        Spool(tmp_path, 0)
    owner.close()
    Spool(tmp_path, 0).close()


def test_what_no_file_can_keep_is_in_the_log_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, 0)
    spool.append([("usage", (1,)), ("usage", (2**70,)), ("usage", (3,))])
    assert [row for _, row in spool.read()] == [(1,), (3,)]
    assert spool.rows == 2
    assert str(2**70) in caplog.text
    spool.close()
