"""The time limit of a job: last of this folder, since the job waits for it while the other tests run."""

from __future__ import annotations

import pytest
from cluster import Job, assert_nothing_left


@pytest.mark.timeout(300)
def test_the_time_limit_ends_the_job_and_leaves_nothing(overdue: Job) -> None:
    overdue.says("up ")
    assert "embedded" not in overdue.text
    assert overdue.end(timeout=200) == "TIMEOUT", overdue.text
    assert_nothing_left(overdue)
