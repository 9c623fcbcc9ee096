"""Types of qfw's compiled module: one stub beside this for each room."""

from qfw._core import program as program

__version__: str
