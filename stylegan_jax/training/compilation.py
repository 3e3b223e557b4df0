"""Compiles the programs of a stage, and those of the next one ahead of time."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import jax.numpy as jnp

from stylegan_jax.config import Experiment
from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import memory
from stylegan_jax.training.phases import Phase
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import TrainState, shardings
from stylegan_jax.training.step import Update, build_update

Programs = dict[str, Update]  # phase name -> compiled update
_under_way: set[Future[Programs]] = set()


def compiling() -> bool:
    """Whether this program is compiling a stage in the background."""
    return bool(_under_way)


class ProgramCache:
    """The compiled updates of each stage; states given to them are donated."""

    def __init__(
        self,
        e: Experiment,
        phases: tuple[Phase, ...],
        parallel: Parallel,
        abstract_state: TrainState,
        label_size: int,
        on_compiled: Callable[[Stage, float], None],
        budget: memory.Budget = memory.UNKNOWN,
    ):
        """Remembers what compiling needs.

        Args:
          e: the experiment.
          phases: its recipe.
          parallel: where the arrays lie.
          abstract_state: shapes, dtypes and shardings of the state.
          label_size: length of a label vector.
          on_compiled: told of each stage that is ready, and the seconds it took.
          budget: the memory that a stage has to fit.
        """
        self._e, self._phases, self._parallel = e, phases, parallel
        self._state, self._label_size = abstract_state, label_size
        self._on_compiled, self._budget = on_compiled, budget
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._futures: dict[tuple[int, bool], Future[Programs]] = {}
        self._rounds: dict[tuple[int, bool], int] = {}

    @property
    def state_shardings(self) -> TrainState:
        """How the arrays of the state lie on the devices, before and after."""
        return shardings(self._state)

    def prepare(self, stage: Stage) -> bool:
        """Begins to compile a stage in the background.

        Returns:
          Whether there was anything to begin.
        """
        stage = self._compiled_as(stage)
        begins = _key(stage) not in self._futures
        if begins:
            future = self._pool.submit(self._compile, stage)
            self._futures[_key(stage)] = future
            _under_way.add(future)
            future.add_done_callback(_under_way.discard)
        return begins

    def get(self, stage: Stage) -> Programs:
        """The programs of a stage; waits where they are not ready.

        Raises:
          memory.DoesNotFit: rounds were to be chosen, and no number of them fits; or
            the compiler refuses those that were set.
        """
        self.prepare(stage)
        return self._futures[_key(self._compiled_as(stage))].result()

    def rounds(self, stage: Stage) -> int:
        """In how many rounds the programs that `get` gave of a stage take a batch."""
        return self._rounds[_key(self._compiled_as(stage))]

    def forget(self, stage: Stage) -> None:
        """Frees the programs of a stage that is over, unless they go on in the next."""
        if not (stage.fading and self._e.run.share_programs):
            self._futures.pop(_key(self._compiled_as(stage)), None)

    def close(self) -> None:
        """Begins no more; does not wait for what is being compiled: see `leaving`."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def lower(
        self,
        stage: Stage,
        index: int,
        platform: str | None = None,
        rounds: int | None = None,
    ) -> jax.stages.Lowered:
        """Phase number `index` of the recipe at `stage`, traced and lowered.

        Args:
          stage: of the run.
          index: of the phase.
          platform: "tpu", "cuda", ...; it need not be there. None for the one of the
            devices.
          rounds: of accumulation; None for the experiment's, or as few as the batch
            allows where it leaves them open.
        """
        rounds = rounds or self._rounds_options(stage)[0]
        update = build_update(
            self._e, self._phases, index, stage, self._parallel, rounds
        )
        jitted = jax.jit(
            conv2d_cpu.allowed()(update),
            donate_argnums=0,
            out_shardings=(self.state_shardings, self._parallel.replicated),
        )
        platforms = None if platform is None else (platform,)
        return jitted.trace(*self.arguments(stage)).lower(lowering_platforms=platforms)

    def arguments(self, stage: Stage) -> tuple:
        """Shapes, dtypes and shardings of what the updates of a stage take."""

        def batch(shape: tuple[int, ...], dtype) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(
                (stage.batch_size, *shape), dtype, sharding=self._parallel.batched
            )

        scalar = jax.ShapeDtypeStruct(
            (), jnp.float32, sharding=self._parallel.replicated
        )
        return (
            self._state,
            batch((*stage.size, self._e.data.channels), jnp.uint8),
            batch((self._label_size,), jnp.float32),
            scalar,
            scalar,
        )

    def _compiled_as(self, stage: Stage) -> Stage:
        """The stage whose programs serve this one: itself, or the fading one."""
        first = stage.resolution == self._e.training.initial_resolution
        fades_in = self._e.model.growing and not first
        if not (fades_in and self._e.run.share_programs):
            return stage
        return dataclasses.replace(stage, fading=True)

    def _compile(self, stage: Stage) -> Programs:
        start = time.monotonic()
        names, limit = [phase.name for phase in self._phases], self._budget.limit
        programs, fitted = memory.fit(
            lambda name, rounds: self.lower(
                stage, names.index(name), rounds=rounds
            ).compile(),
            names,
            self._rounds_options(stage),
            limit,
        )
        if limit is not None:
            chosen = self._e.training.accumulation_rounds is None
            if fitted.need.total > limit:
                problem = memory.advice(self._e, fitted, stage, limit, self._parallel)
                # Told at once: the stage may be days ahead.
                self._budget.report(f"WARNING: {problem}")
                if chosen or len(programs) < len(names):
                    raise memory.DoesNotFit(problem)
            elif chosen:
                self._budget.report(memory.describe(fitted, stage, limit))
        self._rounds[_key(stage)] = fitted.rounds
        self._on_compiled(stage, time.monotonic() - start)
        return programs

    def _rounds_options(self, stage: Stage) -> list[int]:
        return memory.options(self._e, stage.batch_size, self._parallel.batch_shards)


def _key(stage: Stage) -> tuple[int, bool]:
    return stage.resolution, stage.fading
