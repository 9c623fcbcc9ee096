"""QPI: quantum processors and simulators as accelerators of an application.

from qfw import qpi

with qpi.connect() as ctx:
    print(ctx.mesh("statevec").run(qpi.Task(program, shots=1000)).counts)
"""

from qfw.program import Builder, PauliSum, Program
from qfw.qpi import errors
from qfw.qpi.context import Context, connect
from qfw.qpi.device import Device
from qfw.qpi.events import Event, EventQueue
from qfw.qpi.jobs import Job, JobEntry, JobInfo, JobSpec
from qfw.qpi.mesh import AllMesh, Mesh
from qfw.qpi.pipeline import ToolPipeline
from qfw.qpi.queues import Completion, CompletionQueue
from qfw.qpi.result import Result, Row, Timing
from qfw.qpi.stream import Stream
from qfw.qpi.task import Task

__all__ = [
    "AllMesh",
    "Builder",
    "Completion",
    "CompletionQueue",
    "Context",
    "Device",
    "Event",
    "EventQueue",
    "Job",
    "JobEntry",
    "JobInfo",
    "JobSpec",
    "Mesh",
    "PauliSum",
    "Program",
    "Result",
    "Row",
    "Stream",
    "Task",
    "Timing",
    "ToolPipeline",
    "connect",
    "errors",
]
