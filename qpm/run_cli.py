"""The commands of `python -m qfw.qpm.run`: what the shell scripts call.

In a Slurm job the daemon is a job step (step.py), elsewhere a process of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import subprocess
import sys
import time

from qfw.program.errors import InvalidArgument, QfwError, Unavailable
from qfw.qpm import allocation, broadcast, instance_records, job, job_setup, step
from qfw.qpm.launch_options import LaunchOptions, add_options, options_of
from qfw.qpm.run import (
    DRAIN_SECONDS,
    Run,
    base_dir,
    find,
    new_run_id,
    private_dir,
    require,
    run_at,
    run_of,
    run_of_job,
    runs,
    runs_of_jobs,
    take_lock,
)

STARTUP_TIMEOUT = 40.0
GRACE = 5.0  # beyond the time that unfinished tasks get, before SIGKILL
LOG_TAIL = 25
LOOK_SECONDS = 2.0  # between looks whether a daemon that does not answer lives


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return int(args.command(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qfw.qpm.run", description="Start, find and end runs of qfw.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    setup = commands.add_parser("setup", help="start a daemon; returns when its services are ready")
    setup.add_argument("--run-id", help="name of the run; default $QFW_RUN_ID, that of the Slurm job, or a fresh one")
    setup.add_argument(
        "--profile", choices=("local", "hybrid"), help="on this machine, or on the quantum component of the Slurm job"
    )
    setup.add_argument("--het-group", type=int, metavar="N", help="number of the quantum component; default: found")
    setup.add_argument("--threads", type=int, default=0, help="threads of the runtime; 0: the CPUs of this process")
    setup.add_argument(
        "--tcp",
        metavar="HOST[:PORT]",
        nargs="?",
        const="",
        help="listen on the network too, with mutual TLS; default: this host's name and free ports",
    )
    setup.add_argument(
        "--tls-hours", type=float, help="how long certificates are good for; default: the job, or a week"
    )
    setup.add_argument("--restart", action="store_true", help="start the daemon again when it dies")
    setup.add_argument("--drain", type=float, help="seconds that unfinished tasks get when the run is ended (5)")
    setup.add_argument("--timeout", type=float, help="seconds to wait; default $QFW_STARTUP_TIMEOUT or 40")
    setup.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    setup.add_argument("--json", action="store_true", help="print where the run is as JSON")
    add_options(setup)
    setup.set_defaults(command=_setup)
    teardown = commands.add_parser("teardown", help="end a run and remove all that is left of it but the logs")
    teardown.add_argument("--run-id", help="default: the current run")
    teardown.add_argument("--all", action="store_true", help="end every run of this user")
    teardown.add_argument(
        "--grace", type=float, help="seconds before SIGKILL; default: those that unfinished tasks get, and 5"
    )
    teardown.set_defaults(command=_teardown)
    env = commands.add_parser("env", help="print shell commands that make a run the current one")
    env.add_argument("--run-id", help="default: the current run")
    env.set_defaults(command=_env)
    for command in (setup, teardown, env):
        command.add_argument("--run-dir", help="directory of the run, in place of the one that its name gives")
    listing = commands.add_parser("list", help="list runs, live and left behind")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(command=_list)
    return parser


def _setup(args: argparse.Namespace) -> int:
    allocated = job_setup.allocated(args.profile, args.het_group)
    if args.run_dir:
        run = run_at(args.run_dir, args.run_id)
    else:
        run = run_of_job(allocated.job) if allocated and not args.run_id else run_of(args.run_id or new_run_id())
    timeout = args.timeout if args.timeout is not None else _startup_timeout()
    already = _answers(run, timeout)
    if already:
        if args.tcp is not None and not (run.endpoint() or {}).get("runtime_tls"):
            raise InvalidArgument(f"run {run.run_id} is live and not on the network: end it, then start it with --tcp")
    elif allocated:
        _follow(run, _start_step(run, allocated, args, timeout), timeout)
    else:
        end = {"restart": args.restart, "drain": DRAIN_SECONDS if args.drain is None else args.drain}
        network = {"tcp": args.tcp, "tls_hours": args.tls_hours}
        launch = options_of(args)
        start(run, threads=args.threads, log_level=args.log_level, timeout=timeout, launch=launch, **end, **network)
    devices = _probe(run, timeout)
    if args.json:
        print(json.dumps({**describe(run), "devices": devices}))
        return 0
    print(f"qfw run {run.run_id} {'was ready already' if already else 'is ready'}")
    for line in job_setup.places(run, allocated):
        print(f"  {line}")
    for line in _slots_text(run, timeout):
        print(line)
    print("  devices   " + ", ".join(_device_text(d) for d in devices))
    print(f"  logs      {run.logs}")
    return 0


def _answers(run: Run, timeout: float) -> bool:
    """Whether the run has a daemon; waits until it answers. Raises Unavailable when it lives on and does not."""
    end = time.monotonic() + timeout
    while step.lives(run):
        try:
            _wait_ready(run, None, min(timeout, LOOK_SECONDS))
            _probe(run, min(timeout, LOOK_SECONDS))
            return True
        except Unavailable:
            if time.monotonic() > end:
                raise
    return False


def _start_step(
    run: Run, allocated: allocation.Allocation, args: argparse.Namespace, timeout: float
) -> subprocess.Popen[bytes]:
    """Starts the daemon as a job step and returns its srun. Raises Unavailable when it cannot be started."""
    drain = step.drain_seconds(args.drain)
    options = _daemon_options(args.threads, args.log_level, drain) + (["--restart"] if args.restart else [])
    args.launcher = args.launcher or step.default_launcher(allocated)
    options += step.launch_options(options_of(args), allocated).arguments()
    options += [f"--listen={args.tcp}"] if args.tcp else []
    return job_setup.start(run, allocated, options, tls_hours=args.tls_hours, timeout=timeout)


def _daemon_options(threads: int, log_level: str, drain: float) -> list[str]:
    return ["--threads", str(threads), "--log-level", log_level, "--drain", str(drain)]


def _slots_text(run: Run, timeout: float) -> list[str]:
    """What carries the instances, and the slots of its nodes; nothing without a launcher."""
    from qfw.qpm.services.probe import slots

    found = slots(run.endpoint() or {}, run.path, timeout)
    if not found:
        return []
    nodes = ", ".join(f"{name}: {count}" for name, count in found["nodes"].items())
    counters = found["counters"]
    return [
        f"  launcher  {found['about']}",
        f"  slots     {found['total']} ({nodes}), {found['free']} free",
        f"  instances {counters['instances']} up, {counters['backlog']} tasks wait for one, {counters['deaths']} died",
    ]


def _device_text(device: dict[str, str]) -> str:
    return device["name"] if device["status"] == "online" else f"{device['name']} ({device['status']})"


def _startup_timeout() -> float:
    text = os.environ.get("QFW_STARTUP_TIMEOUT", "")
    try:
        value = float(text) if text else STARTUP_TIMEOUT
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InvalidArgument(f"QFW_STARTUP_TIMEOUT={text!r}: not a positive number of seconds")
    return value


def start(
    run: Run,
    *,
    threads: int = 0,
    log_level: str = "warning",
    timeout: float = STARTUP_TIMEOUT,
    tcp: str | None = None,
    tls_hours: float | None = None,
    restart: bool = False,
    drain: float = DRAIN_SECONDS,
    launch: LaunchOptions | None = None,
) -> None:
    """Starts a daemon for `run` in a session of its own and waits until its services are ready.

    With `tcp` ("host", "host:port" or "" for this host's name) it listens there too, with fresh certificates that are
    good for `tls_hours`. With `restart` a supervisor starts the daemon again when it dies. `drain`: seconds that
    unfinished tasks get at a graceful end. `launch`: where its simulators run.

    Raises Unavailable with the tail of its log when it ends first or `timeout` seconds pass; nothing is left behind.
    """
    launch = launch or LaunchOptions()
    if tcp is None and launch.far():
        tcp = ""
    if run.path.parent == base_dir():
        private_dir(run.path.parent)
    private_dir(run.path)
    lock = take_lock(run)
    try:
        end_processes(run, grace=0.0)
        run.sweep()
        run.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        module = "qfw.qpm.supervisor" if restart else "qfw.qpm.daemon"
        argv = [sys.executable, "-m", module, "--run-id", run.run_id, "--run-dir", str(run.path)]
        argv += ["--lock-fd", str(lock), *_daemon_options(threads, log_level, drain), *launch.arguments()]
        argv += _listen(run, tcp, tls_hours)
        with open(run.log_file, "ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)  # the daemon has it now
    _follow(run, child, timeout)


def _follow(run: Run, child: subprocess.Popen[bytes], timeout: float) -> None:
    """Waits until the services of the daemon that was started are ready; what was started does not stay when not."""
    try:
        _wait_ready(run, child, timeout)
        _probe(run, timeout)
    except BaseException:  # an interrupt as well: what was started here does not stay behind
        _abort(run, child)
        raise
    child.returncode = 0  # it outlives this process: no warning about that


def _listen(run: Run, tcp: str | None, hours: float | None) -> list[str]:
    """The daemon's option to listen on the network, once the certificates for that are there."""
    if tcp is None:
        return []
    from qfw.qpm import certificates  # cryptography takes a while to import: only where it is needed
    from qfw.qpm.listen import Listen

    listen = Listen.parse(tcp)
    certificates.issue(run.path, run.run_id, certificates.lifetime(hours))
    return ["--listen", listen.address(listen.port)]


def _abort(run: Run, child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(2.0)
    if child.poll() is None:
        child.kill()
        child.wait()
    clean(run, grace=0.0)


def _wait_ready(run: Run, child: subprocess.Popen[bytes] | None, timeout: float) -> None:
    end = time.monotonic() + timeout
    while run.endpoint() is None:
        with contextlib.suppress(FileNotFoundError):
            os.listdir(run.path)  # has NFS look again at what is there
        if child is not None and child.poll() is not None:
            raise Unavailable(f"the daemon ended with status {child.returncode} before it was ready{_log_tail(run)}")
        if time.monotonic() > end:
            raise Unavailable(
                f"the daemon was not ready after {timeout:g} s (QFW_STARTUP_TIMEOUT sets the limit){_log_tail(run)}"
            )
        time.sleep(0.01)


def _probe(run: Run, timeout: float) -> list[dict[str, str]]:
    from qfw.qpm.services.probe import probe  # grpc takes a while to import: only where it is needed

    endpoint = run.endpoint()
    if endpoint is None:
        raise Unavailable(f"run {run.run_id} has no {run.endpoint_file}")
    devices = probe(endpoint, run.path, timeout, "tls") if endpoint.get("control_tls") else []
    return probe(endpoint, run.path, timeout, "unix") if endpoint.get("hostname") == job.node_name() else devices


def _log_tail(run: Run) -> str:
    try:
        lines = run.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL:]
    except FileNotFoundError:
        lines = []
    return f"; the end of {run.log_file}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def describe(run: Run) -> dict[str, object]:
    """A run in plain values."""
    endpoint = run.endpoint()
    process = run.process()
    state = "live" if run.live() else "stale"
    return {
        "run_id": run.run_id,
        "state": "starting" if state == "live" and endpoint is None else state,
        "path": str(run.path),
        "endpoint": str(run.endpoint_file),
        "runtime": (endpoint or {}).get("runtime", ""),
        "control": (endpoint or {}).get("control", ""),
        "network": (endpoint or {}).get("runtime_tls", ""),
        "pid": process.pid if process else 0,
        "logs": str(run.logs),
    }


def _teardown(args: argparse.Namespace) -> int:
    stale = [r for r in runs() if not r.live()]
    if args.all:
        chosen = runs()
    else:
        run = find(args.run_id, args.run_dir)
        chosen = [run] if run else []
    for run in dict.fromkeys([*chosen, *stale]):
        if clean(run, args.grace):
            print(f"qfw run {run.run_id} ended")
    if not chosen:
        print("qfw: no live run")
    return 0


def clean(run: Run, grace: float | None) -> bool:
    """Ends the daemon and the workers of a run and removes its directory and sockets. True when there was something."""
    if not run.path.is_dir():
        return False
    end_processes(run, grace)
    end_instances(run)
    step.clean_node(run)
    broadcast.remove(run)
    run.remove()
    return True


def end_processes(run: Run, grace: float | None) -> None:
    """Ends what the run recorded, by number and start time; `grace` None: what its tasks get, and GRACE seconds more.

    Raises QfwError when something does not go away.
    """
    if grace is None:
        grace = run.drain_seconds() + GRACE
    step.end(run, grace)
    if not run.here():
        return
    workers = run.worker_processes()
    supervisor, daemon = run.supervisor(), run.process()
    # The supervisor first, or it would start another daemon; told to end, it passes that on.
    left = [p for p in (supervisor, daemon) if p is not None and p.pid != os.getpid() and not p.end(grace)]
    workers = list({*workers, *run.worker_processes()})
    deadline = time.monotonic() + 1.0  # they end by themselves with the daemon
    while any(w.alive() for w in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    left += [w for w in workers if not w.end(1.0)]
    if left:
        raise QfwError(f"run {run.run_id}: processes {', '.join(str(p.pid) for p in left)} do not end")


def end_instances(run: Run) -> None:
    """Ends the instances of this node that outlived their daemon. Raises QfwError when one does not go away."""
    processes = [r.process for r in instance_records.read(run.instances) if r.process is not None]
    left = [str(p.pid) for p in processes if not p.end(1.0)]
    if left:
        raise QfwError(f"run {run.run_id}: instances {', '.join(left)} do not end")


def _env(args: argparse.Namespace) -> int:
    for name, value in environment(require(args.run_id, args.run_dir)).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def environment(run: Run) -> dict[str, str]:
    """The variables that make `run` the current one for a program."""
    mine = {"QFW_RUN_ID": run.run_id, "QFW_ENDPOINT": str(run.endpoint_file), "QFW_RUN_TMP_PATH": str(run.path)}
    return {**mine, **step.component_nodes(run)}


def _list(args: argparse.Namespace) -> int:
    found = [describe(r) for r in (*runs(), *runs_of_jobs())]
    if args.json:
        print(json.dumps(found))
        return 0
    for item in found:
        print(f"{item['run_id']:24} {item['state']:9} {item['pid'] or '-':>8}  {item['path']}")
    if not found:
        print(f"no runs in {base_dir()}")
    return 0
