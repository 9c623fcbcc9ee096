"""Readers and writers of quantum programs: OpenQASM 2 and 3 text, Qiskit circuits, PennyLane tapes."""

from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.detect import load, text_kind

__all__ = ["Converted", "load", "text_kind"]
