"""Types of qfw's compiled module: one stub beside this for each room."""

from qfw._core import program as program
from qfw._core import qpi as qpi
from qfw._core import qpm as qpm
from qfw._core import simenv as simenv

__version__: str
