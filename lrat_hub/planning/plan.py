"""A plan: the processes of a stage, what each of them needs, and whether a machine has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lrat_hub.errors import LratError
from lrat_hub.hub.preflight import in_words
from lrat_hub.planning.machine import Machine


@dataclass(frozen=True)
class Process:
    """What one process needs at least.

    Args:
        name: What it is.
        gpus: Number of GPUs; 0 for one that works on the CPU.
        gpu_memory: Bytes of each of its GPUs.
        memory: Bytes of the machine's memory.
        disk: Bytes that it writes.
        of: What the bytes are, in words.
        known: Whether the sizes are known; what is not is never refused.
    """

    name: str
    gpus: int = 0
    gpu_memory: int = 0
    memory: int = 0
    disk: int = 0
    of: str = ""
    known: bool = True

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}"
        needs = [
            f"{gpus} with {in_words(self.gpu_memory)} each" if self.gpus and self.known else gpus if self.gpus else "",
            f"{in_words(self.memory)} of memory" if self.memory else "",
            f"{in_words(self.disk)} of disk" if self.disk else "",
            "" if self.known else "its size is not known",
        ]
        return f"{self.name}: {', '.join(filter(None, needs)) or 'little'}{f' ({self.of})' if self.of else ''}"


@dataclass(frozen=True)
class Phase:
    """Processes that run at the same time."""

    name: str
    processes: Sequence[Process]

    def problems(self, machine: Machine) -> Iterator[str]:
        """What the machine lacks for them."""
        disk = sum(process.disk for process in self.processes)
        if machine.disk is not None and disk > machine.disk:
            yield (f"{self.name}: expected {in_words(disk)} of disk, found {in_words(machine.disk)} where HF_HOME is")
        on_gpus = [process for process in self.processes if process.gpus and process.known]
        memory = sum(process.memory for process in self.processes)
        if on_gpus and not machine.gpus:
            # Servers and encoders work on the CPU, too, if there is enough memory.
            memory += sum(process.gpus * process.gpu_memory for process in on_gpus)
            if memory > machine.memory:
                wanted = ", ".join(f"{p.gpus} with {in_words(p.gpu_memory)} each ({p.name})" for p in on_gpus)
                yield (
                    f"{self.name}: expected GPUs, {wanted}; found none, and {in_words(machine.memory)} of memory, of "
                    f"{in_words(memory)} that the CPU would need"
                )
            return
        if (count := sum(process.gpus for process in on_gpus)) > len(machine.gpus):
            yield f"{self.name}: expected {count} GPUs, found {len(machine.gpus)}"
        sizes = sorted(machine.gpus)
        for process in on_gpus:
            large = sum(size >= process.gpu_memory for size in sizes)
            if large < process.gpus:
                found = f"{in_words(sizes[-1])} on the largest" if sizes else "none"
                yield (
                    f"{process.name}: expected {process.gpus} GPUs with {in_words(process.gpu_memory)} each, found "
                    f"{large} of that size ({found})"
                )
        if memory > machine.memory:
            yield f"{self.name}: expected {in_words(memory)} of memory, found {in_words(machine.memory)}"


@dataclass
class Plan:
    """What a stage will do and need.

    Args:
        phases: One after the other.
        work: Lines about the work: cells, requests, tokens, and where numbers are from.
    """

    stage: str
    phases: list[Phase] = field(default_factory=list)
    work: list[str] = field(default_factory=list)

    def problems(self, machine: Machine) -> list[str]:
        return list(dict.fromkeys(text for phase in self.phases for text in phase.problems(machine)))

    def lines(self, machine: Machine) -> Iterator[str]:
        """The plan as it is shown, and what is missing here."""
        yield f"lrat {self.stage}: the plan; nothing is run"
        yield from (f"  {line}" for line in self.work)
        for phase in self.phases:
            yield f"  {phase.name}"
            yield from (f"    {process}" for process in phase.processes)
        gpus = ", ".join(map(in_words, machine.gpus)) or "none"
        disk = "" if machine.disk is None else f" and {in_words(machine.disk)} of disk"
        yield f"  this machine: GPUs {gpus}; {in_words(machine.memory)} of memory{disk} are free"
        problems = self.problems(machine)
        yield from (f"  missing: {problem}" for problem in problems)
        if not problems:
            yield "  nothing is missing here, as far as sizes are known"


def require_fit(plan: Plan, machine: Machine) -> None:
    """Raises LratError when a machine lacks what a plan needs, before anything is begun."""
    if problems := plan.problems(machine):
        raise LratError(f"lrat {plan.stage}: it can't fit here. {'; '.join(problems)}. `dry_run` shows the plan.")
