"""Compilation of the programs of each stage, possibly ahead of time."""

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import jax
import jax.numpy as jnp
from etils import epath

from stylegan_jax.runtime import processes
from stylegan_jax.runtime.logger import format_duration
from stylegan_jax.training import memory
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.step import Update, build_update

Programs = dict[str, Update]  # phase name -> compiled update
WAIT_SECONDS = 0.25  # time between two reports of a wait
_running: set[Future[Programs]] = set()


class ProgramCache:
    """The compiled updates of each stage, which donate the state they are given."""

    def __init__(
        self,
        setup: Setup,
        on_compiled: Callable[[Stage, float], None] = lambda stage, seconds: None,
        budget: memory.Budget = memory.UNKNOWN,
        seconds_before: Mapping[str, float] | None = None,
    ):
        """Prepare to compile; nothing is compiled yet.

        Args:
          setup: the training.
          on_compiled: called with each stage that is ready and the seconds it took.
          budget: the memory that a stage must fit into.
          seconds_before: name of a stage -> seconds that its last compilation took.
        """
        self._setup, self._on_compiled, self._budget = setup, on_compiled, budget
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._futures: dict[tuple[int, bool], Future[Programs]] = {}
        self._rounds: dict[tuple[int, bool], int] = {}
        self._seconds_before = seconds_before or {}
        self._announced: set[tuple[int, bool]] = set()
        self._compiling = ""  # phase whose program is being compiled
        self._in_background = compiles_in_background(jax.default_backend())

    def prepare(self, stage: Stage) -> bool:
        """Start to compile a stage in the background, if the platform allows it.

        Returns:
          True if there was anything to start.
        """
        return self._in_background and self._start(stage)

    def _start(self, stage: Stage) -> bool:
        stage = self._compiled_as(stage)
        is_new = _key(stage) not in self._futures
        if is_new:
            future = self._pool.submit(self._compile, stage)
            self._futures[_key(stage)] = future
            _running.add(future)
            future.add_done_callback(_running.discard)
        return is_new

    def announcement(self, stage: Stage) -> str | None:
        """Return a line about the compilation of a stage.

        None if the stage is compiled, or has been announced.
        """
        stage = self._compiled_as(stage)
        future = self._futures.get(_key(stage))
        if _key(stage) in self._announced or (future is not None and future.done()):
            return None
        self._announced.add(_key(stage))
        names = self._setup.phase_names
        before = self._seconds_before.get(stage.name)
        duration = "this may take minutes"
        if before is not None:
            duration = f"it took {format_duration(before)} last time"
        return (
            f"compiling the {len(names)} programs of stage {stage.name}: "
            f"{', '.join(names)}; {duration}"
        )

    def get(
        self, stage: Stage, on_wait: Callable[[str, float], None] = lambda *_: None
    ) -> Programs:
        """Return the programs of a stage; wait until they are compiled.

        Args:
          stage: the stage.
          on_wait: called repeatedly while this waits, with the phase whose program is
            being compiled and the seconds waited so far.

        Raises:
          memory.DoesNotFit: if no number of accumulation rounds fits, or the compiler
            rejects the number that is set.
        """
        self._start(stage)
        future = self._futures[_key(self._compiled_as(stage))]
        start = time.monotonic()
        while not future.done():
            on_wait(self._compiling, time.monotonic() - start)
            wait([future], timeout=WAIT_SECONDS)
        return future.result()

    def rounds(self, stage: Stage) -> int:
        """Return the accumulation rounds of the programs that `get` returned."""
        return self._rounds[_key(self._compiled_as(stage))]

    def forget(self, stage: Stage) -> None:
        """Free the programs of a finished stage, unless the next stage shares them."""
        if not (stage.fading and self._setup.experiment.run.share_programs):
            self._futures.pop(_key(self._compiled_as(stage)), None)

    def close(self) -> None:
        """Start no more compilations; do not wait for the running one."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def lower(
        self,
        stage: Stage,
        index: int,
        platform: str | None = None,
        rounds: int | None = None,
    ) -> jax.stages.Lowered:
        """Trace and lower phase number `index` at a stage.

        Args:
          stage: a stage of the run.
          index: position of the phase in `setup.phases`.
          platform: "tpu", "cuda", ..., which need not be present; None takes the
            platform of the devices.
          rounds: accumulation rounds; None takes the experiment's, or the smallest
            number that the batch allows where the experiment leaves it open.
        """
        rounds = rounds or self._rounds_options(stage)[0]
        update = build_update(self._setup, index, stage, rounds)
        jitted = jax.jit(
            update,
            donate_argnums=0,
            out_shardings=(
                self._setup.state_shardings,
                self._setup.parallel.replicated,
            ),
        )
        platforms = None if platform is None else (platform,)
        return jitted.trace(*self.arguments(stage)).lower(lowering_platforms=platforms)

    def arguments(self, stage: Stage) -> tuple:
        """Return shapes, dtypes and shardings of the arguments of a stage's updates."""
        devices, e = self._setup.parallel, self._setup.experiment

        def batch(shape: tuple[int, ...], dtype) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(
                (stage.batch_size, *shape), dtype, sharding=devices.batched
            )

        scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=devices.replicated)
        return (
            self._setup.abstract_state,
            batch((*stage.size, e.data.channels), jnp.uint8),
            batch((self._setup.label_size,), jnp.float32),
            scalar,
            scalar,
        )

    def _compiled_as(self, stage: Stage) -> Stage:
        """Return the stage whose programs serve this one: itself or the fading one."""
        e = self._setup.experiment
        is_first = stage.resolution == e.training.initial_resolution
        fades_in = e.model.growing and not is_first
        if not (fades_in and e.run.share_programs):
            return stage
        return dataclasses.replace(stage, fading=True)

    def _compile(self, stage: Stage) -> Programs:
        start = time.monotonic()
        e, names = self._setup.experiment, self._setup.phase_names
        limit = self._budget.limit

        def compile_phase(name: str, rounds: int) -> Update:
            self._compiling = name
            return self.lower(stage, names.index(name), rounds=rounds).compile()

        programs, fitted = memory.fit(
            compile_phase,
            names,
            self._rounds_options(stage),
            limit,
            lambda name, rounds, need: memory.greatest_need(
                f"memory/{_key(stage)}/{name}/{rounds}", need
            ),
        )
        if limit is not None:
            is_open = e.training.accumulation_rounds is None
            if fitted.need.total > limit:
                problem = memory.advice(e, fitted, stage, limit, self._setup.parallel)
                # Warn now: the stage may start days later.
                self._budget.report(f"WARNING: {problem}")
                if is_open or len(programs) < len(names):
                    raise memory.DoesNotFit(problem)
            elif is_open:
                self._budget.report(memory.describe(fitted, stage, limit))
        self._rounds[_key(stage)] = fitted.rounds
        self._on_compiled(stage, time.monotonic() - start)
        return programs

    def _rounds_options(self, stage: Stage) -> list[int]:
        return memory.rounds_options(
            self._setup.experiment, stage.batch_size, self._setup.parallel.batch_shards
        )


def seconds_of_stages(log: epath.Path) -> dict[str, float]:
    """Return the seconds that the last compilation of each stage took, by its name.

    Args:
      log: `log.jsonl` of the run, which may not exist yet.
    """
    seconds: dict[str, float] = {}
    if log.exists():
        for line in log.read_bytes().splitlines():
            if b'"compiled"' not in line:
                continue
            with contextlib.suppress(ValueError, TypeError, KeyError):  # a partial row
                row = json.loads(line)
                seconds[row["stage"]] = float(row["seconds"])
    return seconds


def compiles_in_background(platform: str) -> bool:
    """Return True if a stage may be compiled while another one trains.

    For a GPU, XLA times candidate kernels on the device. During training, they would
    compete for its memory, and the timings would be unreliable.

    Args:
      platform: "cpu", "gpu" or "tpu", as `jax.default_backend` returns it.
    """
    return platform != "gpu"


def _key(stage: Stage) -> tuple[int, bool]:
    return stage.resolution, stage.fading


@contextlib.contextmanager
def exit_without_waiting() -> Iterator[None]:
    """Let `sys.exit` within the block end the program during a compilation.

    Python waits for its threads before it exits, and a compilation, which may take
    minutes, cannot be interrupted. Meanwhile a scheduler would kill the process, and
    the exit status, which says that the run was saved, would be lost. All files must
    be closed, and the processes of a run disconnected, before the block ends.
    """
    try:
        yield
    except SystemExit as request:
        if _running:
            if isinstance(request.code, str):
                print(request.code, file=sys.stderr)
            # Skip all cleanup: the compiler still uses some objects.
            processes.exit_now(processes.exit_status(request.code))
        raise
