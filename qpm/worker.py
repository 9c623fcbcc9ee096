"""`python -m qfw.qpm.worker`: one device of a plugin behind a unix socket, in a process of its own.

It serves the same Runtime protocol as the daemon, and ends when its standard input does, that is with its parent.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from qfw.qpm.host import load_value, teller
from qfw.qpm.plugin import DeviceSpec, Plugin, batch_runner, spec_of
from qfw.simenv.launch.local import announce

PATIENCE_SECONDS = 2.0  # for a batch that nobody waits for any more, before this process ends itself
F_SETSIG = 10  # Linux; Python's fcntl has no name for it


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until the parent is gone."""
    args = _parse(argv)
    plugin = load_value(args.plugin)
    server = _serve(plugin, spec_of(plugin, args.device), Path(args.socket))
    announce(server.address)
    end_with_parent()
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m qfw.qpm.worker", description=__doc__)
    parser.add_argument("--plugin", required=True, help="module:attribute of the plugin")
    parser.add_argument("--device", required=True, help="the plugin's device to serve")
    parser.add_argument("--socket", required=True, help="path of the unix socket")
    return parser.parse_args(argv)


def _serve(plugin: Plugin, spec: DeviceSpec, socket: Path) -> Any:
    from qfw._core.qpm import Runtime

    runtime = Runtime(threads=1)
    code = batch_runner(spec, lambda: plugin.executor(spec.name))
    device = runtime.add_python_device(spec.info(plugin.name), code, PATIENCE_SECONDS)
    plugin.tell = teller(runtime, {spec.name: device})
    return runtime.serve(f"unix:{socket}")


def end_with_parent() -> NoReturn:
    """Ends this process when the pipe on its standard input closes. The kernel does it, by a signal with its default
    action: a provider's library that holds Python's global lock for minutes does not delay it."""
    stdin = sys.stdin.fileno()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    fcntl.fcntl(stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stdin, F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(stdin, fcntl.F_SETFL, fcntl.fcntl(stdin, fcntl.F_GETFL) | os.O_ASYNC)
    while os.read(stdin, 4096):  # the parent may have gone before the lines above
        pass
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
