"""qfw: middleware between applications and quantum processors or simulators on HPC systems."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("qfw")
except PackageNotFoundError:  # used from a source tree without installation
    __version__ = "0.0.0"

__all__ = ["__version__"]
