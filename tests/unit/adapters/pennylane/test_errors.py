"""What cannot run is refused with a typed error that says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane.devices import ExecutionConfig
from pennylane.exceptions import DeviceError, WireError

from qfw.program.errors import InvalidArgument, NotFound, QfwError, ResourceExhausted


def _device(wires: int = 2) -> Any:
    return qml.device("qfw.device", wires=wires, endpoint="embedded")


def test_the_entry_point() -> None:
    device = qml.device("qfw.device", wires=2, device="statevec", endpoint="embedded")
    assert type(device).__name__ == "QFWDevice"
    assert (device.name, device.endpoint) == ("qfw.device", "embedded")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="no-such-device"):
        qml.device("qfw.device", wires=2, device="no-such-device", endpoint="embedded")


def test_an_unknown_argument_names_the_near_miss() -> None:
    with pytest.raises(InvalidArgument, match="'sede'.*'seed'"):
        qml.device("qfw.device", wires=1, sede=3)


def test_an_unknown_option_names_the_device() -> None:
    with pytest.raises(InvalidArgument, match="'colour' of statevec"):
        qml.device("qfw.device", wires=1, endpoint="embedded", options={"colour": "red"})


def test_a_wire_that_is_not_there() -> None:
    with pytest.raises(WireError, match="5"):
        qml.QNode(lambda: qml.expval(qml.Z(5)), _device())()


def test_a_number_that_is_not_finite() -> None:
    node = qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], _device())
    with pytest.raises(InvalidArgument, match="nan"):
        node(np.nan)
    assert node(0.0) == pytest.approx(1.0)


def test_samples_without_shots() -> None:
    with pytest.raises(DeviceError, match="not accepted for analytic"):
        qml.QNode(lambda: qml.sample(wires=0), _device())()


def test_an_unknown_device_option() -> None:
    with pytest.raises(DeviceError, match="colour"):
        _device().setup_execution_config(ExecutionConfig(device_options={"colour": 1}))


def test_too_many_qubits_say_what_is_needed() -> None:
    device = _device(60)
    with pytest.raises((ResourceExhausted, InvalidArgument)) as caught:
        qml.QNode(lambda: qml.expval(qml.Z(0)), device)()
    assert isinstance(caught.value, QfwError)
    assert any(c.isdigit() for c in str(caught.value))
