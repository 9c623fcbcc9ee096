"""Types of qfw's compiled module: one stub beside this for each room."""

from qfw._core import program as program
from qfw._core import qpi as qpi

__version__: str
