"""Who gets slots: nobody beyond his ceiling, nobody left out for ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw.program.errors import ResourceExhausted
from qfw.simenv.launch.launcher import Node
from qfw.simenv.nodes import Grant, Nodes
from qfw.simenv.pool import PATIENCE, Limits, Pool


def pool(slots: int, *devices: str, **limits: Limits) -> Pool:
    made = Pool(Nodes([Node("n", slots)]))
    for device in devices:
        made.add(device, limits.get(device))
    return made


def refused(made: Pool, device: str, ranks: int = 1, now: float = 0.0) -> str:
    with pytest.raises(ResourceExhausted) as error:
        made.take(device, ranks, now)
    assert error.value.transient
    return str(error.value)


def test_a_ceiling_holds() -> None:
    made = pool(4, "a", a=Limits(ceiling=2))
    grant = made.take("a", 1, 0)
    made.take("a", 1, 0)
    assert "has 2 instances, and may have 2" in refused(made, "a")
    made.give("a", grant)
    made.take("a", 1, 0)
    assert made.held("a") == 2


def test_whoever_holds_the_most_is_asked_first() -> None:
    made = pool(3, "a", "b", "c")
    made.take("a", 1, 0)
    made.take("b", 1, 0)
    made.take("b", 1, 0)
    refused(made, "c")
    assert made.waiting(0) == ("c",)
    assert made.donors("c") == ("b", "a")
    assert made.donors("a") == (), "it does not wait"


def test_a_floor_is_kept_unless_somebody_would_get_nothing() -> None:
    made = pool(3, "a", "b", "c", a=Limits(floor=2))
    made.take("a", 1, 0)
    made.take("a", 1, 0)
    made.take("b", 1, 0)
    refused(made, "c")
    assert made.donors("c") == ("b",)
    alone = pool(1, "a", "c", a=Limits(floor=1))
    alone.take("a", 1, 0)
    refused(alone, "c")
    assert alone.donors("c") == alone.greedy("c") == ("a",)


def test_its_own_small_instances_make_room_for_a_large_one() -> None:
    made = pool(2, "a", a=Limits(floor=2))
    first, second = made.take("a", 1, 0), made.take("a", 1, 0)
    refused(made, "a", 2)
    assert made.donors("a") == ("a",) and made.greedy("a") == ()
    made.give("a", first)
    made.give("a", second)
    assert made.take("a", 2, 0).ranks == 2


def test_what_is_given_back_goes_to_the_one_who_waits() -> None:
    made = pool(2, "a", "b")
    first = made.take("a", 1, 0)
    made.take("a", 1, 0)
    refused(made, "b", now=1.0)
    assert made.greedy("b") == ("a",)
    made.give("a", first)
    assert "1 are kept for devices that wait" in refused(made, "a", now=1.1)
    made.take("b", 1, 1.2)
    assert made.waiting(1.2) == ("a",)
    assert made.greedy("a") == (), "each holds its share"


def test_whoever_does_not_ask_again_waits_no_more() -> None:
    made = pool(2, "a", "b")
    first = made.take("a", 1, 0)
    made.take("a", 1, 0)
    refused(made, "b", now=0)
    made.give("a", first)
    made.take("a", 1, PATIENCE + 0.1)
    refused(made, "b", now=PATIENCE + 0.2)
    made.withdraw("b")
    assert made.waiting(PATIENCE + 0.3) == ()


def test_more_than_there_is_is_refused_for_good_and_nobody_waits() -> None:
    made = pool(2, "a")
    with pytest.raises(ResourceExhausted, match="3 ranks are wanted; there are 2 slots") as error:
        made.take("a", 3, 0)
    assert not error.value.transient and made.waiting(0) == ()


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 3), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans()), max_size=80),
)
@settings(deadline=None)
def test_everybody_who_keeps_asking_is_served(slots: int, floors: list[int], todo: list[tuple[int, int, bool]]) -> None:
    """Whatever happened before: when donors give an instance at each request, every device gets one."""
    names = [f"d{i}" for i in range(len(floors))]
    made = pool(slots, *names, **{n: Limits(floor=f) for n, f in zip(names, floors, strict=True)})
    held: dict[str, list[Grant]] = {n: [] for n in names}
    now = 0.0

    def give(device: str) -> None:
        made.give(device, held[device].pop())

    def ask(device: str, ranks: int) -> bool:
        try:
            held[device].append(made.take(device, ranks, now))
        except ResourceExhausted:
            return False
        return True

    for who, ranks, back in todo:
        now += 0.1
        device = names[who % len(names)]
        if back and held[device]:
            give(device)
        else:
            ask(device, ranks)
        assert sum(g.ranks for grants in held.values() for g in grants) == slots - made.nodes.free
    for device in names:
        for _ in range(4 * slots + 4):
            now += 0.1
            if ask(device, 1):
                break
            for donor in made.greedy(device)[:1]:
                give(donor)
            for other in made.waiting(now):  # they are served, or go away
                if other != device and not ask(other, 1):
                    made.withdraw(other)
        assert held[device], "it was left out"
    for device in names:
        while held[device]:
            give(device)
    assert made.nodes.free == made.nodes.total
