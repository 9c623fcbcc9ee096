"""Basic blocks of a program while it is being written: structured control flow in, calls of the Builder out.

Blocks that are never reached, empty ones, and joints between blocks that follow one another are gone in what is
written, so a loop that was unrolled around nothing dynamic is a program without blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qfw.program import Bit, Builder, Var

Operand = Var | Bit | bool | int | float
Operation = tuple[Any, ...]  # as Builder.extend takes them, or (name of a method of the Builder, arguments ...)


@dataclass(slots=True, eq=False)
class Block:
    """Operations, and where the program goes on: no targets (the end), one, or two chosen by a bool variable."""

    operations: list[Operation] = field(default_factory=list)
    targets: tuple[Block, ...] = ()
    variable: int = -1


class Flow:
    """A graph of blocks with one of them open for writing.

    After a jump or a branch the open block is one that nothing leads to, until another is entered: what is written
    after a `break` goes nowhere.
    """

    def __init__(self) -> None:
        self._entry = self._open = Block()
        self._kinds: list[tuple[str, bool | int | float]] = []

    @property
    def operations(self) -> list[Operation]:
        """Those of the open block."""
        return self._open.operations

    def enter(self, block: Block) -> None:
        """Opens a block."""
        self._open = block

    def jump(self, target: Block) -> None:
        """Ends the open block."""
        self._open.targets = (target,)
        self._open = Block()

    def branch(self, condition: Operand, then: Block, otherwise: Block, variable: int) -> None:
        """Ends the open block with a choice; `variable` is a bool that may be overwritten for it."""
        if isinstance(condition, bool):
            return self.jump(then if condition else otherwise)
        if isinstance(condition, Var):
            variable = condition.index
        else:
            self.operations.append(("compute", "copy", variable, condition))
        self._open.targets, self._open.variable = (then, otherwise), variable
        self._open = Block()

    def variable(self, kind: str, initial: bool | int | float = 0) -> int:
        """Declares a variable of kind bool, int or float."""
        self._kinds.append((kind, initial))
        return len(self._kinds) - 1

    def compute(self, op: str, variable: int, *operands: Operand) -> None:
        """Appends a computation."""
        self.operations.append(("compute", op, variable, *operands))

    def write(self, builder: Builder) -> None:
        """Gives everything to a builder that has its parameters and registers, and no operations yet."""
        blocks = self._simplified()
        for kind, initial in self._kinds:
            builder.variable(kind, initial)
        number = {id(self._entry): 0} | {id(block): builder.block() for block in blocks[1:]}
        for block in blocks:
            if number[id(block)]:
                builder.enter(number[id(block)])
            _write(builder, block.operations)
            targets = [number[id(t)] for t in block.targets]
            if len(targets) == 2:
                builder.branch(block.variable, *targets)
            elif targets:
                builder.jump(*targets)
            elif len(blocks) > 1:
                builder.end()

    def _simplified(self) -> list[Block]:
        """The blocks that are reached, the entry first, each chain of them as one."""
        blocks = _reached(self._entry)
        for block in blocks:
            block.targets = tuple(_skip_empty(t) for t in block.targets)
        blocks = _reached(self._entry)
        entries: dict[int, int] = {id(self._entry): 1}
        for block in blocks:
            for target in block.targets:
                entries[id(target)] = entries.get(id(target), 0) + 1
        for block in blocks:
            while len(block.targets) == 1 and entries[id(block.targets[0])] == 1:
                (after,) = block.targets
                block.operations += after.operations
                block.targets, block.variable = after.targets, after.variable
                after.targets, entries[id(after)] = (), 0
        return [block for block in blocks if entries[id(block)]]


def _reached(entry: Block) -> list[Block]:
    found, todo, seen = [], [entry], {id(entry)}
    while todo:
        block = todo.pop()
        found.append(block)
        for target in reversed(block.targets):
            if id(target) not in seen:
                seen.add(id(target))
                todo.append(target)
    return found


def _skip_empty(block: Block) -> Block:
    seen = set[int]()
    while not block.operations and len(block.targets) == 1 and id(block) not in seen:
        seen.add(id(block))
        (block,) = block.targets
    return block


def _write(builder: Builder, operations: list[Operation]) -> None:
    start = 0
    for i, operation in enumerate(operations):
        if type(operation[0]) is str:
            if start < i:
                builder.extend(operations[start:i])
            getattr(builder, operation[0])(*operation[1:])
            start = i + 1
    if start < len(operations):
        builder.extend(operations[start:] if start else operations)
