"""Device memory: choose the accumulation rounds so that a stage's programs fit.

XLA reports the memory of a program before it runs: arguments and results, which do not
depend on the number of rounds, and temporary memory, most of which is the activations
of one round's part of the batch.
"""

import dataclasses
import json
import math
from collections.abc import Callable

import jax

from stylegan_jax.config import Experiment
from stylegan_jax.runtime import processes
from stylegan_jax.runtime.cli import is_out_of_memory
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training.schedule import Stage

GIB = 2**30
# Share of the memory that a device reports. The rest is for prefetched batches, sample
# grids and fragmentation. `run.device_memory_gib` is used in full.
USABLE = 0.9


class DoesNotFit(ValueError):
    """No number of accumulation rounds makes a stage's programs fit the memory."""


@dataclasses.dataclass(frozen=True)
class Need:
    """Memory of a program on one device, in bytes.

    Attributes:
      fixed: arguments, results that do not reuse their memory, and code.
      temporary: peak of the temporary memory.
    """

    fixed: float
    temporary: float

    @property
    def total(self) -> float:
        """Total memory."""
        return self.fixed + self.temporary


@dataclasses.dataclass(frozen=True)
class Fit:
    """A number of accumulation rounds, and the phase that needs the most memory."""

    rounds: int
    phase: str
    need: Need


@dataclasses.dataclass(frozen=True)
class Budget:
    """Memory that training may use on each device.

    Attributes:
      limit: bytes per device; None if it is unknown, and nothing is checked.
      report: called with a line that states the rounds chosen for a stage, or that the
        stage does not fit.
    """

    limit: float | None = None
    report: Callable[[str], None] = lambda text: None


UNKNOWN = Budget()


def need(compiled: jax.stages.Compiled) -> Need:
    """Return the memory of a compiled program."""
    m = compiled.memory_analysis()
    results = m.output_size_in_bytes - m.alias_size_in_bytes
    return Need(
        m.argument_size_in_bytes + results + m.generated_code_size_in_bytes,
        m.temp_size_in_bytes,
    )


def budget(
    e: Experiment,
    parallel: Parallel,
    report: Callable[[str], None],
    reserved_bytes: float = 0.0,
) -> Budget:
    """Return the memory that the experiment sets, or else that the devices report.

    All processes must call it; all get the same result.

    Args:
      e: the experiment.
      parallel: the devices.
      report: see `Budget`.
      reserved_bytes: memory of each device that is not for the programs.

    Raises:
      ValueError: if the rounds depend on the memory, and the memory is unknown.
    """
    if e.run.device_memory_gib is not None:
        return Budget(e.run.device_memory_gib * GIB - reserved_bytes, report)
    reported = parallel.device_memory()
    limit = None if reported is None else reported * USABLE - reserved_bytes
    if limit is None and e.training.accumulation_rounds is None:
        raise ValueError(
            "`training.accumulation_rounds` (=None) is chosen to fit the memory of the "
            f"devices, but these ({jax.devices()[0].device_kind}) do not report "
            "theirs; set `run.device_memory_gib` or a number of rounds"
        )
    return Budget(limit, report)


def rounds_options(e: Experiment, batch_size: int, shards: int) -> list[int]:
    """Return the numbers of rounds into which a batch can be split.

    Args:
      e: the experiment; a number of rounds that it sets is the only option.
      batch_size: images per step, over all devices.
      shards: shards of the batch; each round takes an equal share of each.

    Returns:
      The numbers in increasing order; never empty. Networks and objectives work with
      all of them. If possible, the images of the path length in each round divide
      evenly over the shards.
    """
    t = e.training
    if t.accumulation_rounds is not None:
        return [t.accumulation_rounds]
    shrink = t.path_length_batch_shrink if t.path_length_weight else 1
    each = batch_size // shards
    options = [
        rounds
        for rounds in range(1, each + 1)
        if each % rounds == 0
        and (part := batch_size // rounds) >= shrink
        and part % min(e.model.mbstd_group_size, part) == 0
    ]
    even = [r for r in options if batch_size // r // shrink % shards == 0]
    return even or options


def fit(
    compile_phase: Callable[[str, int], jax.stages.Compiled],
    names: list[str],
    options: list[int],
    limit: float | None,
    agree: Callable[[str, int, Need], Need] = lambda name, rounds, need: need,
) -> tuple[dict[str, jax.stages.Compiled], Fit]:
    """Compile the phases in the fewest rounds that fit.

    Options that could not fit even if all temporary memory were activations are not
    tried.

    Args:
      compile_phase: (name of a phase, rounds) -> its compiled program.
      names: names of the phases.
      options: numbers of rounds to try, see `rounds_options`.
      limit: bytes per device; None takes the first option.
      agree: (name of a phase, rounds, need in this process) -> need in all processes,
        which must choose the same number of rounds; see `greatest_need`.

    Returns:
      The programs by phase, and the memory they need. If no option fits, that memory
      exceeds the limit, and programs may be missing.
    """
    rounds = options[0]
    while True:
        programs, most, most_name = {}, Need(0, 0), ""
        for name in names:
            try:
                programs[name] = compile_phase(name, rounds)
                found = need(programs[name])
            except jax.errors.JaxRuntimeError as error:  # from a TPU's compiler
                if limit is None or not is_out_of_memory(error):
                    raise
                found = Need(0, math.inf)
            if limit is not None:
                found = agree(name, rounds, found)
            if found.temporary == math.inf:
                programs.pop(name, None)  # another process does not have it
            if found.total > most.total:
                most, most_name = found, name
            if limit is not None and found.total > limit and len(options) > 1:
                break
        result = Fit(rounds, most_name, most)
        if limit is None or most.total <= limit:
            return programs, result
        larger = [
            r
            for r in options
            if r > rounds
            and (
                most.temporary == math.inf
                or most.fixed + most.temporary * rounds / r <= limit
            )
        ]
        if not larger:
            return programs, result
        rounds = larger[0]


def greatest_need(name: str, here: Need) -> Need:
    """Return the greatest need of all processes; all of them must call this.

    Compilers of different hosts may report different numbers, or only one of them may
    run out of memory.

    Args:
      name: name of the program.
      here: the need in this process.
    """
    needs = processes.exchange(name, json.dumps([here.fixed, here.temporary]))
    fixed, temporary = map(max, zip(*map(json.loads, needs), strict=True))
    return Need(fixed, temporary)


def describe(fitted: Fit, stage: Stage, limit: float) -> str:
    """Return a line that states the rounds chosen for a stage and their memory."""
    times = "round" if fitted.rounds == 1 else "rounds"
    return (
        f"memory: stage {stage.name} in {fitted.rounds} {times} of "
        f"{stage.batch_size // fitted.rounds} images takes "
        f"{fitted.need.total / GIB:.3g} of {limit / GIB:.3g} GiB a device "
        f"({fitted.phase}; {fitted.need.fixed / GIB:.3g} GiB of it is state)"
    )


def advice(
    e: Experiment, fitted: Fit, stage: Stage, limit: float, parallel: Parallel
) -> str:
    """Return a message that states what does not fit, and what may help."""
    fixed, temporary = fitted.need.fixed, fitted.need.temporary
    part = stage.batch_size // fitted.rounds
    images = part // parallel.batch_shards  # per device
    remedies = []
    if temporary < math.inf and fixed < limit:
        free, each = limit - fixed, temporary / images
        fewer = int(free / each)
        if 1 <= fewer < images:
            remedies.append(
                f"a batch of {fewer * parallel.batch_shards * fitted.rounds} (its "
                "parts in whole groups of `model.mbstd_group_size`)"
            )
        if images > 1:
            shards = math.ceil(part * each / free)
            remedies.append(f"{min(shards, part)} devices or more")
    if e.model.remat != "blocks" and jax.default_backend() != "cpu":
        remedies.append("`model.remat`='blocks', which keeps fewer activations")
    if e.model.dtype == "float32":
        remedies.append("`model.dtype`='bfloat16', for a new run")
    if parallel.num_devices > 1 and not e.run.shard_optimizer:
        remedies.append("`run.shard_optimizer`, which splits the state")
    size = f"{fitted.need.total / GIB:.3g} GiB" if temporary < math.inf else "more"
    remedies.append(f"devices with {size} of memory")
    return (
        f"stage {stage.name} does not fit the memory: phase {fitted.phase} takes "
        f"{size} a device ({fixed / GIB:.3g} GiB of it is state) in "
        f"{fitted.rounds} round(s) of {part} images, and {limit / GIB:.3g} GiB may be "
        "used; what may fit, by estimate: " + "; ".join(remedies)
    )
