"""`qfw doctor`: what qfw needs, what it finds here, and what would help."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from qfw.cli import doctor_cluster
from qfw.cli.finding import Finding

if TYPE_CHECKING:
    from qfw.qpm.run import Run

PROBE_SECONDS = 5.0
EXTRAS = {"qiskit": "qiskit", "qiskit-aer": "aer", "pennylane": "pennylane", "stim": "stim"}


def show(*, as_json: bool) -> int:
    """Print all findings; the exit status is 1 when something is broken."""
    found = [finding for look in LOOKS for finding in look()]
    if as_json:
        print(json.dumps([asdict(f) for f in found], indent=2))
    else:
        for f in found:
            print(f"{f.status:7} {f.topic:10} {f.text}")
            if f.hint:
                print(f"{'':18} -> {f.hint}")
    return 1 if any(f.status == "broken" for f in found) else 0


def python() -> Iterator[Finding]:
    """The interpreter and this installation of qfw."""
    import qfw

    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable}), {platform.platform()}")
    yield Finding("qfw", "ok", f"{qfw.__version__} ({Path(qfw.__file__).parent})")


def native() -> Iterator[Finding]:
    """The compiled module, the simulator in it, and what it may use of the machine."""
    try:
        from qfw import _core, simenv
    except ImportError as error:
        yield Finding("native", "broken", str(error), "install qfw again: scripts/dev/setup, or pip install qfw")
        return
    yield Finding("native", "ok", str(_core.__file__))
    forced = " (QFW_SIMD is set)" if os.environ.get("QFW_SIMD") else ""
    yield Finding("simd", "ok", f"{simenv.best_simd_level()}{forced}; this CPU has {' '.join(simenv.simd_levels())}")
    cpus = simenv.usable_cpus()
    yield Finding("cpus", "ok", f"{cpus} of {os.cpu_count()} usable")
    free = simenv.bytes_available()
    qubits = max(0, int(math.log2(max(free, 16) / 16)))
    yield Finding("memory", "ok", f"{free / 2**30:.1f} GiB available: a state of {qubits} qubits fits")


def runs() -> Iterator[Finding]:
    """Where runs live, and which there are."""
    from qfw.program.errors import QfwError
    from qfw.qpm import run

    base = run.base_dir()
    try:
        run.private_dir(base)
        writable = os.access(base, os.W_OK | os.X_OK)
    except (OSError, QfwError) as error:
        yield Finding("run dir", "broken", str(error), "set XDG_RUNTIME_DIR or TMPDIR to a private directory")
        return
    if writable:
        yield Finding("run dir", "ok", str(base))
    else:
        yield Finding("run dir", "broken", f"{base} is not writable", "set XDG_RUNTIME_DIR to a private directory")
    found = run.runs()
    of_job = run.current()  # one of a Slurm job is found by the job
    found += [of_job] if of_job and of_job not in found else []
    live = [r.run_id for r in found if r.live()]
    text = f"live: {', '.join(live)}" if live else "none is live: programs run embedded"
    yield Finding("runs", "ok", text)
    for r in found:
        if r.run_id in live:
            yield from _services(r)
    stale = [r.run_id for r in found if r.run_id not in live]
    if stale:
        yield Finding("runs", "note", f"left behind: {', '.join(stale)}", "qfw_teardown.sh removes them")


def _services(run: Run) -> Iterator[Finding]:
    """Whether the services of a live run answer, and by which way; why not, on a network."""
    from qfw.program.errors import QfwError
    from qfw.qpm.services.probe import probe

    endpoint = run.endpoint()
    if endpoint is None:
        yield Finding("run", "note", f"{run.run_id}: not ready yet")
        return
    yield from doctor_cluster.certificates(run, endpoint)
    yield from doctor_cluster.reachable(run, endpoint)
    try:
        devices = probe(endpoint, run.path, PROBE_SECONDS)
    except (OSError, QfwError) as error:
        yield Finding("run", "broken", f"{run.run_id}: {error}", "qfw_teardown.sh ends it")
        return
    network = f"; on the network at {endpoint['runtime_tls']}" if endpoint.get("runtime_tls") else ""
    yield Finding("run", "ok", f"{run.run_id}: {', '.join(d['name'] for d in devices)} answer{network}")


def plugins() -> Iterator[Finding]:
    """The providers, and why one cannot be used."""
    from qfw.qpm.host import discover

    for found in discover():
        if found.reason:
            hint = f"pip install 'qfw[{found.name}]'" if found.name in EXTRAS.values() else ""
            yield Finding("plugin", "note", f"{found.name}: {found.reason}", hint)
        else:
            names = ", ".join(spec.name for spec in found.specs) or found.name
            yield Finding("plugin", "ok", f"{found.name}: {names}")


def packages() -> Iterator[Finding]:
    """The frameworks that qfw plugs into (looked up, not imported)."""
    for package, extra in EXTRAS.items():
        try:
            yield Finding("package", "ok", f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding("package", "note", f"{package} is not installed", f"pip install 'qfw[{extra}]'")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, native, runs, plugins, packages, *doctor_cluster.LOOKS)
