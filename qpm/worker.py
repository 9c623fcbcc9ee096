"""`python -m qfw.qpm.worker`: one device of a plugin behind a socket, in a process of its own.

It serves the same Runtime protocol as the daemon. Two ways of life:

- a child of the process that uses it: it announces itself on QFW_READY_FD, and ends with its standard input;
- an instance (`--instance`), started by any launcher on any node: it registers with the daemon that the endpoint file
  names, and ends when its lease does (qpm/services/lease.py). With several ranks the first one serves, and the others
  compute with it (simenv/distributed.py).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from qfw.program.errors import DeviceError, InvalidArgument, QfwError
from qfw.qpm.host import load_value, teller
from qfw.qpm.listen import server_files
from qfw.qpm.plugin import DeviceSpec, Plugin, batch_runner, spec_of
from qfw.simenv.launch.local import announce

PATIENCE_SECONDS = 2.0  # for a batch that nobody waits for any more, before this process ends itself
F_SETSIG = 10  # Linux; Python's fcntl has no name for it


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is not wanted any more."""
    args = _parse(argv)
    plugin = load_value(args.plugin)
    spec = spec_of(plugin, args.device)
    if args.instance:
        return _instance(args, plugin, spec)
    if not args.listen.startswith("unix:"):
        raise InvalidArgument(f"--listen {args.listen}: a child listens on unix:PATH alone")
    server = serve_device(plugin, spec, args.listen)
    announce(server.address)
    end_with_parent()
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m qfw.qpm.worker", description=__doc__)
    parser.add_argument("--plugin", required=True, help="module:attribute of the plugin")
    parser.add_argument("--device", required=True, help="the plugin's device to serve")
    parser.add_argument("--listen", required=True, help="unix:PATH, or tcp for mutual TLS on this node's address")
    parser.add_argument("--instance", default="", help="its name; register with the daemon of --endpoint under it")
    parser.add_argument("--endpoint", type=Path, help="the daemon's endpoint.json")
    parser.add_argument("--run-id", default="")
    parser.add_argument("--carrier", default="", help="what carries it, as its daemon calls it")
    parser.add_argument("--place", action="append", default=[], help="NODE:RANKS:CPU,... that it has been given")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds to look for another daemon")
    return parser.parse_args(argv)


def serve_device(plugin: Plugin, spec: DeviceSpec, listen: str, tls: tuple[str, str, str, str] | None = None) -> Any:
    """A runtime with this one device, served; `tls`: address and the three PEM files."""
    from qfw._core.qpm import Runtime

    if plugin.kind == "native":
        runtime = Runtime(threads=len(os.sched_getaffinity(0)))
        runtime.add_statevec(spec.name)
    else:
        runtime = Runtime(threads=1)
        code = batch_runner(spec, lambda: plugin.executor(spec.name))
        device = runtime.add_python_device(spec.info(plugin.name), code, PATIENCE_SECONDS)
        plugin.tell = teller(runtime, {spec.name: device})
    return runtime.serve(listen) if tls is None else runtime.serve("", *tls)


def _instance(args: argparse.Namespace, plugin: Plugin, spec: DeviceSpec) -> int:
    from qfw.qpm.instance_records import parse_place

    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    places = tuple(parse_place(text) for text in args.place)
    ranks = sum(place.ranks for place in places) or 1
    try:
        if ranks > 1:
            comm = _communicator(ranks)
            if comm.Get_rank() > 0:
                from qfw.simenv.distributed import follow

                follow(comm)
                return 0
            plugin = plugin.on_ranks(comm)
            spec = replace(spec_of(plugin, args.device), max_ranks=ranks)
        server = _serve_instance(args, plugin, spec)
        return _keep_lease(args, server, places)
    except QfwError as error:
        print(f"instance {args.instance}: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # the other ranks end with the job


def _communicator(ranks: int) -> Any:
    """All ranks of this job; raises DeviceError when MPI sees another number of them."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if comm.Get_size() != ranks:
        raise DeviceError(
            f"MPI says that this job has {comm.Get_size()} ranks, and it was started with {ranks}: is mpi4py of "
            f"another MPI than what started it? ({MPI.Get_library_version().splitlines()[0]})"
        )
    return comm


def _serve_instance(args: argparse.Namespace, plugin: Plugin, spec: DeviceSpec) -> Any:
    if args.endpoint is None:
        raise InvalidArgument("--instance needs --endpoint")
    if args.listen.startswith("unix:"):
        Path(args.listen.removeprefix("unix:")).unlink(missing_ok=True)
        return serve_device(plugin, spec, args.listen)
    files = server_files(args.endpoint.parent, args.run_id)
    address = f"{_own_address(args.endpoint)}:0"
    return serve_device(plugin, spec, "", (address, str(files.ca), str(files.certificate), str(files.key)))


def _own_address(endpoint: Path) -> str:
    """This node's address on the way to the daemon."""
    from qfw.qpm.services.lease import read_endpoint

    target = (read_endpoint(endpoint) or {}).get("control_tls", "")
    host, _, port = target.rpartition(":")
    if not host:
        raise InvalidArgument(f"the daemon of {endpoint} is not on the network; it needs --listen (qfw_setup.sh --tcp)")
    family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(where)  # sends nothing
        address = str(probe.getsockname()[0])
    return f"[{address}]" if ":" in address else address


def _keep_lease(args: argparse.Namespace, server: Any, places: Sequence[Any]) -> int:
    from qfw import __version__
    from qfw.qpm.leases import Registration
    from qfw.qpm.run import Process
    from qfw.qpm.services.lease import Keeper

    process = Process.of(os.getpid())
    assert process is not None
    over = threading.Event()
    reasons: list[str] = []

    def end(reason: str) -> None:
        reasons.append(reason)
        over.set()

    registration = Registration(
        run_id=args.run_id,
        instance=args.instance,
        plugin=args.plugin,
        device=args.device,
        carrier=args.carrier,
        address=server.tls_address or server.address,
        node=places[0].node if places else socket.gethostname(),
        pid=process.pid,
        start_time=process.start_time,
        ranks=sum(p.ranks for p in places) or 1,
        threads=len(os.sched_getaffinity(0)),
        places=tuple(places),
        software=__version__,
    )
    Keeper(args.endpoint, registration, end, grace=args.grace).start()
    over.wait()
    with contextlib.suppress(OSError):  # whoever read it has gone
        print(f"instance {args.instance} ends: {reasons[0]}", file=sys.stderr, flush=True)
    if server.address:
        with contextlib.suppress(OSError):
            os.unlink(server.address.removeprefix("unix:"))
    os._exit(0 if registration.ranks == 1 else 1)  # whatever a provider's library still does; MPI ends other ranks


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
