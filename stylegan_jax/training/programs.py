"""Compiles the programs of a stage, and those of the next one ahead of time."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import jax.numpy as jnp

from stylegan_jax.config import Experiment
from stylegan_jax.parallel import Parallel
from stylegan_jax.training.growth import Stage
from stylegan_jax.training.recipes import Phase
from stylegan_jax.training.state import TrainState, shardings
from stylegan_jax.training.step import Update, build_update

Programs = dict[str, Update]  # phase name -> compiled update


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
    ):
        """Remembers what compiling needs.

        Args:
          e: the experiment.
          phases: its recipe.
          parallel: where the arrays lie.
          abstract_state: shapes, dtypes and shardings of the state.
          label_size: length of a label vector.
          on_compiled: told of each stage that is ready, and the seconds it took.
        """
        self._e, self._phases, self._parallel = e, phases, parallel
        self._state, self._label_size = abstract_state, label_size
        self._on_compiled = on_compiled
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._futures: dict[tuple[int, bool], Future[Programs]] = {}

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
            self._futures[_key(stage)] = self._pool.submit(self._compile, stage)
        return begins

    def get(self, stage: Stage) -> Programs:
        """The programs of a stage; waits where they are not ready."""
        self.prepare(stage)
        return self._futures[_key(self._compiled_as(stage))].result()

    def forget(self, stage: Stage) -> None:
        """Frees the programs of a stage that is over, unless they go on in the next."""
        if not (stage.fading and self._e.run.share_programs):
            self._futures.pop(_key(self._compiled_as(stage)), None)

    def close(self) -> None:
        """Stops after what is being compiled now."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def lower(
        self, stage: Stage, index: int, platform: str | None = None
    ) -> jax.stages.Lowered:
        """Phase number `index` of the recipe at `stage`, traced and lowered.

        Args:
          stage: of the run.
          index: of the phase.
          platform: "tpu", "cuda", ...; it need not be there. None for the one of the
            devices.
        """
        update = build_update(self._e, self._phases, index, stage, self._parallel)
        jitted = jax.jit(
            update,
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
        programs = {
            phase.name: self.lower(stage, i).compile()
            for i, phase in enumerate(self._phases)
        }
        self._on_compiled(stage, time.monotonic() - start)
        return programs


def _key(stage: Stage) -> tuple[int, bool]:
    return stage.resolution, stage.fading
