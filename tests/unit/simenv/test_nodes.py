"""Slots of nodes: what is taken is taken once, what is given back is free again, and errors say what is free."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw.program.errors import InvalidArgument, ResourceExhausted
from qfw.simenv.launch.launcher import Node, Place
from qfw.simenv.nodes import Grant, Nodes, cpus_of, parse_hosts

GIB = 1 << 30


def places(grant: Grant) -> dict[str, int]:
    return {p.node: p.ranks for p in grant.places}


def test_one_rank_goes_to_the_node_with_the_most_free_slots() -> None:
    nodes = Nodes([Node("a", 2), Node("b", 3)])
    assert [places(nodes.take(1)) for _ in range(5)] == [{"b": 1}, {"a": 1}, {"b": 1}, {"a": 1}, {"b": 1}]
    assert nodes.free == 0


def test_several_ranks_stay_on_one_node_where_they_fit_and_take_few_nodes_where_not() -> None:
    nodes = Nodes([Node("a", 2), Node("b", 4), Node("c", 3)])
    assert places(nodes.take(3)) == {"c": 3}, "the fullest that has room"
    assert places(nodes.take(5)) == {"a": 1, "b": 4}, "in the order of the nodes"
    assert nodes.free == 1


def test_ranks_are_pinned_to_the_cores_of_their_slots() -> None:
    nodes = Nodes([Node("a", 2, cpus=8)])
    assert [nodes.take(1).places[0].cpus for _ in range(2)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert Nodes([Node("a", 3, cpus=8)]).take(3).places == (Place("a", 3, tuple(range(8))),)
    assert [cpus_of(Node("a", 4, cpus=2), slot) for slot in range(4)] == [(0,), (0,), (1,), (1,)]
    assert Nodes([Node("a", 2)]).take(2).places[0].cpus == (), "not pinned where the CPUs are not known"


def test_too_many_ranks_are_refused_with_what_is_wanted_and_what_is_free() -> None:
    nodes = Nodes([Node("a", 2), Node("b", 2)])
    with pytest.raises(ResourceExhausted, match=r"5 ranks are wanted; there are 4 slots on 2 nodes") as never:
        nodes.take(5)
    assert not never.value.transient
    nodes.take(3)
    with pytest.raises(ResourceExhausted, match=r"2 slots are wanted, 1 of 4 are free \(a 0 of 2, b 1 of 2\)") as later:
        nodes.take(2)
    assert later.value.transient and later.value.retry_after > 0
    with pytest.raises(InvalidArgument, match="0 ranks"):
        nodes.take(0)


def test_memory_is_accounted() -> None:
    nodes = Nodes([Node("a", 4, memory_bytes=4 * GIB), Node("b", 4, memory_bytes=2 * GIB)])
    assert nodes.largest(2 * GIB) == 3
    first = nodes.take(2, 2 * GIB)
    assert places(first) == {"a": 2}
    assert places(nodes.take(1, 2 * GIB)) == {"b": 1}
    with pytest.raises(ResourceExhausted, match=f"1 slots of {2 * GIB} bytes each are wanted, 5 of 8 are free") as full:
        nodes.take(1, 2 * GIB)
    assert full.value.transient
    with pytest.raises(ResourceExhausted, match="with room for 0 of them"):
        nodes.take(1, 8 * GIB)
    nodes.give(first)
    assert places(nodes.take(1, 3 * GIB)) == {"a": 1}


def test_oversubscription_only_where_it_is_asked_for() -> None:
    nodes = Nodes([Node("a", 1), Node("b", 1)], oversubscribe=True)
    grant = nodes.take(5)
    assert sorted(places(grant).values()) == [2, 3]
    assert places(nodes.take(1)) == {"b" if places(grant)["a"] == 3 else "a": 1}, "where the fewest are"
    nodes.give(grant)
    assert nodes.free == 1


def test_the_places_of_an_instance_that_runs_already_can_be_claimed() -> None:
    before = Nodes([Node("a", 4, cpus=4)])
    before.take(1)
    grant = before.take(2)
    after = Nodes([Node("a", 4, cpus=4)])
    assert after.claim(grant.places).places == grant.places
    with pytest.raises(ResourceExhausted, match=r"2 ranks on node a, which has 2 of 4 slots free"):
        after.claim(grant.places)
    assert after.take(2).places == (Place("a", 2, (0, 3)),)
    with pytest.raises(ResourceExhausted, match="node b, which is not there"):
        after.claim([Place("b")])


def test_a_lost_node_takes_its_grants_along() -> None:
    nodes = Nodes([Node("a", 2), Node("b", 2)])
    grant = nodes.take(4)
    nodes.update([Node("b", 2)])
    assert (nodes.total, nodes.free) == (2, 0)
    nodes.update([Node("a", 2), Node("b", 2)])
    assert (nodes.total, nodes.free) == (4, 2), "what comes back is empty"
    nodes.give(grant)
    assert nodes.free == 4
    with pytest.raises(InvalidArgument, match="given back twice"):
        nodes.give(grant)


def test_hosts_are_read() -> None:
    assert parse_hosts("n1:4, n2") == (Node("n1", 4), Node("n2", 1))
    for text in ("", "n1:", "n1:0", "n1:x", ":4"):
        with pytest.raises(InvalidArgument, match="hosts"):
            parse_hosts(text)
    with pytest.raises(InvalidArgument, match="twice"):
        parse_hosts("n1,n1:2")


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
# Ranks to take; or, negative, which of the grants to give back.
steps = st.lists(st.integers(-6, 8).filter(bool), max_size=40)


@given(sizes, steps)
@settings(deadline=None)
def test_no_slot_is_ever_held_twice_and_all_come_back(slots: list[int], todo: list[int]) -> None:
    nodes = Nodes([Node(f"n{i}", n, cpus=n) for i, n in enumerate(slots)])
    held: list[Grant] = []
    for step in todo:
        free = nodes.free
        if step > 0:
            try:
                held.append(nodes.take(step))
            except ResourceExhausted as error:
                assert step > free and error.transient == (step <= sum(slots))
        elif held:
            nodes.give(held.pop(step % len(held)))
        pinned = [(p.node, c) for g in held for p in g.places for c in p.cpus]
        assert len(pinned) == len(set(pinned)) == sum(g.ranks for g in held)
        assert nodes.free == sum(slots) - sum(g.ranks for g in held)
        for name, count in ((f"n{i}", n) for i, n in enumerate(slots)):
            assert sum(p.ranks for g in held for p in g.places if p.node == name) <= count
    for grant in held:
        nodes.give(grant)
    assert nodes.free == nodes.total == sum(slots)
