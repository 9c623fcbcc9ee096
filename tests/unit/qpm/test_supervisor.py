"""The supervisor's policy; what it does with real daemons is in tests/system/test_reliability.py."""

import pytest

from qfw.qpm.supervisor import Backoff


def test_waits_grow_from_one_early_death_to_the_next() -> None:
    backoff = Backoff(first=0.1, longest=1.0, healthy=30.0, limit=6)
    assert [backoff.died(0.5) for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff.died(0.5) is None


def test_a_daemon_that_lived_long_is_a_fresh_beginning() -> None:
    backoff = Backoff(limit=2)
    for _ in range(20):
        assert backoff.died(3600.0) == pytest.approx(0.1)
        assert backoff.died(0.1) == pytest.approx(0.2)
