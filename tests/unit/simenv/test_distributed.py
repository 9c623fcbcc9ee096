"""One state on many ranks, under the real mpirun: the same results as one process."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import mpi
import pytest

JOB = str(Path(__file__).with_name("ranks_job.py"))


@cache
def found(ranks: int) -> dict[str, Any]:
    """What a job of so many ranks found, all cases in one job."""
    done = mpi.run(ranks, [JOB, "cases"])
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


both = pytest.mark.parametrize("ranks", [2, 4])


@both
@pytest.mark.parametrize(
    "case",
    [
        "unitary_circuits",
        "expectation_values",
        "gradients",
        "shots",
        "probabilities",
        "branches",
        "dynamic",
        "windows",
        "served",
    ],
)
def test_results_are_those_of_one_process(ranks: int, case: str) -> None:
    assert found(ranks)[case] < 1e-12


@both
def test_single_precision(ranks: int) -> None:
    assert found(ranks)["single_precision"] < 1e-5


@both
def test_exchanges_are_few_and_counted(ranks: int) -> None:
    traffic = found(ranks)["few_exchanges"]
    assert traffic["ranks"] == ranks
    assert 1 <= traffic["exchanges"] < traffic["crossing"]
    assert 0 < traffic["bytes"] <= traffic["exchanges"] * 16 * 2**12  # at most the whole state each time
    assert traffic["share"] > 0.8


@both
def test_a_state_too_small_for_all_ranks_is_kept_by_one(ranks: int) -> None:
    few = found(ranks)["few_qubits"]
    assert few["ranks"] == 1
    assert few["state"] == pytest.approx([0.5**0.5, 0, 0, 0.5**0.5])


@both
def test_errors_reach_rank_0_and_the_job_goes_on(ranks: int) -> None:
    errors = found(ranks)["errors"]
    assert errors["said"]["row"] == "InvalidArgument: the row has 0 values; the program has 1 parameters"
    assert errors["said"]["memory"].startswith(
        f"ResourceExhausted: a state vector of 39 qubits shared by {ranks} ranks"
    )
    assert errors["said"]["cancelled"] == "Cancelled: the task was cancelled while it ran"
    assert errors["after"] < 1e-12


def test_three_ranks_are_refused() -> None:
    done = mpi.run(3, [JOB, "cases"])
    assert done.returncode != 0
    assert "a state vector is shared by 1, 2, 4, 8, ... ranks; this job has 3" in done.stderr


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_job(rank: int) -> None:
    done = mpi.run(2, [JOB, "die", str(rank)])
    assert done.returncode != 0
    assert "running" in done.stdout
    assert not done.stdout.rstrip().endswith("}")  # rank 0 did not come to its end


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_alone_ends_the_job_and_says_why(rank: int) -> None:
    done = mpi.run(2, [JOB, "fail", str(rank)])
    assert done.returncode != 0
    assert f"rank {rank} ends the job: " in done.stderr
    assert "MemoryError: of this rank alone" in done.stderr
    assert not done.stdout.rstrip().endswith("}")
