"""A context in this process, and small programs."""

from collections.abc import Iterator

import pytest

from qfw import qpi
from qfw.program import Affine


@pytest.fixture(scope="module")
def ctx() -> Iterator[qpi.Context]:
    with qpi.connect("embedded") as context:
        yield context


@pytest.fixture
def mesh(ctx: qpi.Context) -> qpi.Mesh:
    return ctx.mesh("statevec")


@pytest.fixture(scope="session")
def bell() -> qpi.Program:
    builder = qpi.Builder(2, 2)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    builder.measure(0, 0)
    builder.measure(1, 1)
    return builder.finish()


@pytest.fixture(scope="session")
def rotation() -> qpi.Program:
    """rx(theta) on one qubit, measured."""
    builder = qpi.Builder(1, 1)
    theta = builder.parameter("theta")
    builder.gate("rx", [0], [Affine(theta)])
    builder.measure(0, 0)
    return builder.finish()
