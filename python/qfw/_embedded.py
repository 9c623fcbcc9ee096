"""The runtime inside an application's process: the built-in simulator at once, the workers of Python plugins when
their first task comes. `qfw.qpi` loads this module by name when it finds no daemon."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()
_made: _Embedded | None = None


class _Embedded:
    def __init__(self) -> None:
        from qfw._core.qpm import Runtime
        from qfw.qpm.host import Host, discover

        self.pid = os.getpid()
        self.sockets = Path(tempfile.mkdtemp(prefix="qfw-", dir="/tmp"))  # short: socket paths have 100 bytes
        self.runtime: Any = Runtime()
        self.host = Host(self.runtime, self.sockets)
        self.host.install(discover())

    def stop(self) -> None:
        if self.pid != os.getpid():  # a fork's copy: the threads and the workers are the parent's
            return
        self.runtime.stop()
        self.host.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)


def runtime() -> Any:
    """The process's one `qfw._core.qpm.Runtime`, made at the first call and stopped at exit.

    A child of fork() makes one of its own: the threads of its parent's are not there."""
    global _made
    with _lock:
        if _made is None or _made.pid != os.getpid():
            _made = _Embedded()
            atexit.register(_made.stop)
        return _made.runtime


def _after_fork() -> None:
    """Another thread may have held the lock when the process was forked."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
