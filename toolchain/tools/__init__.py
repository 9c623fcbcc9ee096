"""Tools map one task to one or more tasks, and the results of those back to one."""

from qfw.toolchain.tools.pipeline import Pipeline
from qfw.toolchain.tools.registry import create, names, pipeline
from qfw.toolchain.tools.tool import DeviceLike, TaskLike, Tool

__all__ = ["DeviceLike", "Pipeline", "TaskLike", "Tool", "create", "names", "pipeline"]
