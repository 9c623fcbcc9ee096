"""qpmd: a runtime with its plugins behind two unix sockets, and with `--listen` on two ports with mutual TLS.

`runtime.sock` is the Runtime service (C++), `control.sock` the control services (Python). The daemon writes
`endpoint.json` when both are ready. On SIGTERM it takes no new tasks, finishes what it has within `--drain` seconds,
completes the rest as Unavailable, and leaves nothing behind; a second SIGTERM cuts that short.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from qfw import __version__
from qfw.program.errors import InvalidArgument, QfwError
from qfw.qpm import run as runs
from qfw.qpm.api.v1 import endpoint_pb2, resource_pb2_grpc, workers_pb2_grpc
from qfw.qpm.host import Host, discover
from qfw.qpm.instances import Fleet, Home
from qfw.qpm.job import node_name
from qfw.qpm.launch_options import LaunchOptions, add_options, options_of
from qfw.qpm.leases import LeaseTable
from qfw.qpm.listen import Listen, client_files, port_of, server_files
from qfw.qpm.services import tls
from qfw.qpm.services.resource import ResourceService
from qfw.qpm.services.workers import Registry, WorkersService

TICK_SECONDS = 1.0
MAX_THREADS = 4096
MAX_DRAIN = 86400.0
SERVING = ("online", "starting", "busy")

log = logging.getLogger("qfw.qpm.daemon")


class Daemon:
    """One daemon: construct, `await serve()`; `stop()` may be called from a signal handler."""

    def __init__(
        self,
        run: runs.Run,
        threads: int,
        listen: Listen | None = None,
        drain: float = runs.DRAIN_SECONDS,
        launch: LaunchOptions | None = None,
    ) -> None:
        from qfw._core.qpm import Runtime

        self.run = run
        self.listen = listen
        self.drain = drain
        self._control_tls = ""
        self.runtime_socket, self.control_socket = runs.socket_paths(run)
        self.runtime: Any = Runtime(threads=threads)
        self.launch = launch or LaunchOptions()
        self.fleet: Fleet | None = None
        self.host = Host(self.runtime, self.runtime_socket.parent, run.workers)
        self._stopping = asyncio.Event()
        self._health = health.aio.HealthServicer()
        self._control = grpc.aio.server()
        self._server: Any = None

    def stop(self) -> None:
        """Begins the graceful end; the second time, ends it at once: unfinished tasks are given up."""
        if self._stopping.is_set() and self._server is not None:
            self._server.hurry()
        self._stopping.set()

    async def serve(self) -> None:
        """Runs from start to end; when it returns nothing is left but the logs."""
        try:
            await self._start()
            log.info("run %s is ready", self.run.run_id)
            await self._until_stopped()
        finally:
            await self._drain()

    async def _start(self) -> None:
        self._record_process()
        if self.launch.launcher:
            await self._start_fleet()
        self.host.install(discover())
        self._serve_runtime()
        service = ResourceService(self.runtime, self.run.run_id, __version__, self._stopping.is_set, self._slots)
        resource_pb2_grpc.add_ResourceServicer_to_server(service, self._control)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._control)
        self._control.add_insecure_port(f"unix:{self.control_socket}")
        if self.listen:
            files = server_files(self.run.path, self.run.run_id)
            port = self._control.add_secure_port(self.listen.address(0), tls.server_credentials(files))
            self._control_tls = self.listen.announced(port)
        await self._control.start()
        await self._report_health()
        runs.write_json(self.run.endpoint_file, MessageToDict(self._endpoint(), preserving_proto_field_name=True))
        if self.fleet is not None:
            self.fleet.opened()

    async def _start_fleet(self) -> None:
        """From now on devices are served by instances, on slots."""
        launcher = await asyncio.to_thread(self.launch.start)
        sockets = runs.instance_sockets(self.run)
        files = client_files(self.run.path, self.run.run_id) if self.listen else None
        home = Home(self.run.run_id, self.run.endpoint_file, self.run.instances, sockets, node_name(), files)
        self.fleet = Fleet(launcher, home, self.launch)
        registry = Registry(LeaseTable(self.run.run_id, self.fleet.adopt))
        self.fleet.begin(self.runtime, registry)
        self.host = Host(self.runtime, self.runtime_socket.parent, self.run.workers, self.fleet)
        workers_pb2_grpc.add_WorkersServicer_to_server(WorkersService(registry), self._control)

    def _slots(self) -> dict[str, Any] | None:
        return self.fleet.describe() if self.fleet is not None else None

    def _serve_runtime(self) -> None:
        address = f"unix:{self.runtime_socket}"
        if self.listen is None:
            self._server = self.runtime.serve(address)
            return
        files = server_files(self.run.path, self.run.run_id)
        paths = (str(files.ca), str(files.certificate), str(files.key))
        self._server = self.runtime.serve(address, self.listen.address(self.listen.port), *paths)

    def _record_process(self) -> None:
        process = runs.Process.of(os.getpid())
        assert process is not None
        sockets = str(self.runtime_socket.parent)
        what = {**asdict(process), "node": node_name(), "socket_dir": sockets, "drain": self.drain}
        runs.write_json(self.run.process_file, what)

    def _endpoint(self) -> endpoint_pb2.Endpoint:
        return endpoint_pb2.Endpoint(
            version=1,
            run_id=self.run.run_id,
            runtime=self._server.address,
            control=f"unix:{self.control_socket}",
            pid=os.getpid(),
            started_at=time.time(),
            hostname=node_name(),
            software=__version__,
            **self._endpoint_tls(),
        )

    def _endpoint_tls(self) -> dict[str, Any]:
        if self.listen is None:
            return {}
        files = client_files(Path(), self.run.run_id)  # beside the endpoint file
        return {
            "runtime_tls": self.listen.announced(port_of(self._server.tls_address)),
            "control_tls": self._control_tls,
            "tls": endpoint_pb2.Tls(
                ca=str(files.ca), certificate=str(files.certificate), key=str(files.key), server_name=files.server_name
            ),
        }

    async def _report_health(self) -> None:
        response = health_pb2.HealthCheckResponse
        await self._health.set("", response.SERVING)
        for device in self.runtime.devices():
            serving = device["status"] in SERVING
            await self._health.set(f"qpm.{device['name']}", response.SERVING if serving else response.NOT_SERVING)

    async def _until_stopped(self) -> None:
        """Until told to stop, or until the run directory is gone and nobody could find this daemon any more."""
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)
            except TimeoutError:
                await self._report_health()
                if not self.run.path.is_dir():
                    log.warning("%s was removed: ending", self.run.path)
                    return

    async def _drain(self) -> None:
        self._stopping.set()
        self.run.endpoint_file.unlink(missing_ok=True)
        await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop, self.drain)
        await asyncio.to_thread(self.runtime.stop)
        await asyncio.to_thread(self.host.stop)
        await self._control.stop(1.0)
        self.run.remove()


async def _serve(run: runs.Run, threads: int, listen: Listen | None, drain: float, launch: LaunchOptions) -> None:
    daemon = Daemon(run, threads, listen, drain, launch)
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, daemon.stop)
    await daemon.serve()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a daemon in the foreground; 0 after a graceful end."""
    args = _parse(argv)
    logging.basicConfig(
        level=args.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        if not 0 <= args.threads <= MAX_THREADS:
            raise InvalidArgument(f"--threads {args.threads}: 0 to {MAX_THREADS}")
        if not 0 <= args.drain <= MAX_DRAIN:
            raise InvalidArgument(f"--drain {args.drain}: 0 to {MAX_DRAIN} seconds")
        run = _run(args)
        lock = args.lock_fd if args.lock_fd >= 0 else runs.take_lock(run)
        os.set_inheritable(lock, False)
        listen = Listen.parse(args.listen) if args.listen else None
        launch = options_of(args)
        asyncio.run(_serve(run, args.threads, listen, args.drain, launch))
    except (QfwError, OSError) as error:
        print(f"qpmd: {error}", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace) -> runs.Run:
    run_id = runs.check_run_id(args.run_id or runs.new_run_id())
    path = Path(args.run_dir).absolute() if args.run_dir else runs.run_of(run_id).path
    return runs.Run(run_id, runs.private_dir(path), runs.private_dir(args.local_dir) if args.local_dir else None)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="qpmd", description="The qfw daemon of one run, in the foreground.")
    parser.add_argument("--run-id", help="name of the run; default $QFW_RUN_ID, $SLURM_JOB_ID, or a fresh one")
    parser.add_argument("--run-dir", help="its directory; default: where runs of this user are")
    parser.add_argument(
        "--local-dir", type=Path, help="for sockets and workers, where several nodes share the run's directory"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST[:PORT]",
        help="listen on the network too, with mutual TLS by the certificates in the run directory (qfw_setup.sh --tcp)",
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of the runtime; 0: the CPUs of this process")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    parser.add_argument(
        "--drain", type=float, default=runs.DRAIN_SECONDS, help="seconds that unfinished tasks get at the end"
    )
    add_options(parser)
    parser.add_argument("--lock-fd", type=int, default=-1, help=argparse.SUPPRESS)  # taken by the parent
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
