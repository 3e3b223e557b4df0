"""The settings of an experiment, one section in each file of `sections/`."""

import dataclasses

from stylegan_jax.config.sections.data import Data
from stylegan_jax.config.sections.evaluation import Evaluation
from stylegan_jax.config.sections.model import Model
from stylegan_jax.config.sections.run import Run
from stylegan_jax.config.sections.training import Training
from stylegan_jax.config.setting import ByResolution

ALL_RESOLUTIONS = 9  # number of resolutions of the largest networks, 4 to 1024


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All settings of one run."""

    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    run: Run = Run()
    evaluation: Evaluation = Evaluation()


def by_resolution(pairs: ByResolution, resolution: int, default: float) -> float:
    """Return the value for `resolution` if `pairs` has one, else `default`."""
    return dict(pairs).get(resolution, default)


def image_size(base_size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Return the height and width in pixels at `resolution`.

    Args:
      base_size: height and width at resolution 4, `data.base_size`.
      resolution: any resolution of the networks.
    """
    return base_size[0] * resolution // 4, base_size[1] * resolution // 4
