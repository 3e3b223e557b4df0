"""Assembly of a training run, in one place.

From an experiment: networks -> phases -> optimizers -> state -> stages. Training,
transfer, benchmarks and tests all start from a `Setup`; `compilation.ProgramCache`
turns it into compiled programs.
"""

import dataclasses
import functools

import jax
import optax

from stylegan_jax import models
from stylegan_jax.augment import controller
from stylegan_jax.config import Experiment
from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.models import Discriminator, Generator
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import schedule
from stylegan_jax.training import state as train_state
from stylegan_jax.training.optimizer import build_optimizers
from stylegan_jax.training.phases import Phase, build_phases
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Setup:
    """Everything about a training run that its steps do not change.

    Attributes:
      experiment: the experiment.
      parallel: the devices.
      label_size: length of a label vector, 0 for unconditional networks.
      generator: the generator.
      discriminator: the discriminator.
      phases: the updates of a step, in order.
      optimizers: an optimizer for each network's name.
      stages: the stages of the run, in order.
    """

    experiment: Experiment
    parallel: Parallel
    label_size: int
    generator: Generator
    discriminator: Discriminator
    phases: tuple[Phase, ...]
    optimizers: dict[str, optax.GradientTransformation]
    stages: list[Stage]

    @property
    def phase_names(self) -> list[str]:
        """Names of the phases, in order."""
        return [phase.name for phase in self.phases]

    @functools.cached_property
    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        return train_state.with_shardings(
            jax.eval_shape(self._create),
            self.parallel,
            self.experiment.run.shard_optimizer,
        )

    @property
    def state_shardings(self) -> TrainState:
        """Shardings of the state."""
        return train_state.shardings(self.abstract_state)

    def create_state(self) -> TrainState:
        """Create the initial state on the devices."""
        return jax.jit(self._create, out_shardings=self.state_shardings)()

    def _create(self) -> TrainState:
        e = self.experiment
        return train_state.create(
            self.generator,
            self.discriminator,
            self.optimizers,
            self.phase_names,
            e.run.seed,
            controller.from_config(e.training).initial,
            e.training.power_ema,
            e.model.spectral_norm,
        )


def build(
    e: Experiment, parallel: Parallel, label_size: int = 0, **forms: bool
) -> Setup:
    """Assemble the parts of a training run.

    Args:
      e: the experiment.
      parallel: the devices.
      label_size: length of a label vector, 0 for unconditional networks.
      **forms: forms of operations, see `matmul.fastest_forms`, to use instead of
        those that are fastest on the devices.
    """
    fastest = fastest_forms(parallel.platform)
    if e.run.height_devices > 1:  # rows of shifted blocks do not divide by the devices
        fastest["pixel_blocks"] = False
    forms = fastest | forms
    generator, discriminator = models.build(e.model, e.data, label_size, **forms)
    return Setup(
        experiment=e,
        parallel=parallel,
        label_size=label_size,
        generator=generator,
        discriminator=discriminator,
        phases=build_phases(e, generator, discriminator),
        optimizers=build_optimizers(e),
        stages=schedule.build_stages(e),
    )
