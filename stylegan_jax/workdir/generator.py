"""The averaged generator in the checkpoints of a run or of a conversion."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
from etils import epath

from stylegan_jax import models
from stylegan_jax.config import Experiment
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime import parallel
from stylegan_jax.workdir.description import (
    DataInfo,
    chosen_step,
    label_size,
    load_description,
)

if TYPE_CHECKING:  # Orbax is slow to import
    from stylegan_jax.checkpoint import Checkpoints


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
    """A trained or converted generator, ready for use.

    Attributes:
      generator: the network.
      variables: its averaged variables, for `generator.apply`.
      experiment: the experiment that trained it; None for official files whose networks
        no experiment describes.
      lod: the level of detail that training had reached.
      classes: names of the classes; empty for unconditional networks.
      checkpoint: number of its checkpoint: images seen, or 0 for conversions.
      step: training steps; None for conversions.
      data: the data that it was trained on; None if unknown.
      label_vectors: True if its labels are continuous vectors, whose components
        `classes` then names.
    """

    generator: Generator
    variables: Variables
    experiment: Experiment | None
    lod: LevelOfDetail
    classes: tuple[str, ...]
    checkpoint: int
    step: int | None
    data: DataInfo | None = None
    label_vectors: bool = False


def load_generator(workdir: epath.Path, step: int | None = None) -> TrainedGenerator:
    """Load the averaged generator of a run, or of a converted network.

    Args:
      workdir: the directory, or one of its `checkpoints/NUMBER`.
      step: number of the checkpoint; None for that of `workdir`, or else for the
        newest that is intact.

    Raises:
      ValueError: if the directory is not that of a run, or names another checkpoint.
      CheckpointError: if the checkpoint cannot be read.
    """
    workdir, step = chosen_step(workdir, step)
    e, data = load_description(workdir)
    size = label_size(e, data)
    generator, _ = models.build(e.model, e.data, size)
    abstract = abstract_variables(generator, size)
    checkpoints = open_checkpoints(workdir, 1, print)
    found, items, meta = checkpoints.restore({"ema": abstract}, step)
    checkpoints.close()
    return TrainedGenerator(
        generator=generator,
        variables=items["ema"],
        experiment=e,
        lod=LevelOfDetail(meta["resolution"], meta["fade"]),
        classes=data.classes if size else (),
        checkpoint=found,
        step=meta.get("step"),
        data=data,
        label_vectors=bool(size) and data.label_vectors,
    )


def abstract_variables(generator: Generator, label_size: int) -> Variables:
    """Return the shapes and types of a generator's variables, on the first device."""
    device = parallel.first_local_device()
    abstract = jax.eval_shape(
        generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, generator.z_dim), "float32"),
        jax.ShapeDtypeStruct((1, label_size), "float32") if label_size else None,
    )
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract
    )


def open_checkpoints(
    workdir: epath.Path,
    keep: int,
    on_warning: Callable[[str], None],
    keep_best: int = 0,
) -> "Checkpoints":
    """Open the checkpoints of a run; see `Checkpoints`."""
    from stylegan_jax.checkpoint import Checkpoints

    return Checkpoints(workdir / "checkpoints", keep, on_warning, keep_best)
