"""What a run says of itself before it trains."""

import dataclasses

import jax

from stylegan_jax.config import Experiment
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import transfer
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import TrainState


def describe(
    logger: RunLogger,
    e: Experiment,
    source: Source,
    state: TrainState,
    devices: Parallel,
    stages: list[Stage],
) -> None:
    """Prints what is about to be trained on what."""
    counts = {
        name: sum(x.size for x in jax.tree.leaves(params))
        for name, params in state.params.items()
    }
    kind = jax.devices()[0].device_kind
    logger.line(
        "{}, {}x{}, ".format(e.model.family, *stages[-1].size)
        + ", ".join(f"{name} {count:,} parameters" for name, count in counts.items())
    )
    logger.line(
        f"{source.num_images:,} images from {source.name}; {len(stages)} stage(s), "
        f"{e.training.total_kimg:g} kimg, on {devices.num_devices} x {kind} in "
        f"{devices.process_count} process(es)"
    )
    if e.data.conditional:
        for line in source.label_histogram():
            logger.line(line)
        logger.event(
            "labels",
            names=source.classes,
            totals=source.label_totals,
            images=source.labels_counted or source.num_images,
        )


def report_transfer(logger: RunLogger, transferred: transfer.Transfer) -> None:
    """Prints and logs what was loaded from where, and what was not."""
    for line in transferred.table():
        logger.line(line)
    logger.event(
        "transfer",
        source=transferred.name,
        notes=transferred.notes,
        arrays=[dataclasses.asdict(row) for row in transferred.rows],
    )
