"""As many at once as the writer ever takes: one statement has to carry them all."""

from tests.ledger.world import World

_MOST = 4_096


def test_the_largest_batch_fits_into_its_statements(world: World) -> None:
    window = world.limit("limit:b:0", 10 * _MOST)
    world.fund("prepaid:a", 10 * _MOST)
    names = [f"req_{n}" for n in range(_MOST)]
    held = world.hold(*(world.wish(name, 1, limits=[window]) for name in names))
    raised = world.extend(*(world.wish(name, 2, limits=[window]) for name in names))
    assert [each.amount_nano for each in (*held, *raised)] == [1] * _MOST + [2] * _MOST
    settled = world.settle(*(world.end(name, 2) for name in names))
    assert {each.charged_nano for each in settled} == {2}
    assert world.balance("prepaid:a") == (8 * _MOST, 0)
    assert world.balance("limit:b:0") == (-2 * _MOST, 0)
    top_ups = [world.posting(name, ("prepaid:a", 1), ("cash_clearing", -1)) for name in names]
    assert world.post(*top_ups) == [True] * _MOST
