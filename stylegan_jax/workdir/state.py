"""The state of a run: progress, checkpoints, data, and changed settings."""

import dataclasses
from typing import Any

from etils import epath

from stylegan_jax import config
from stylegan_jax.checkpoint import listing
from stylegan_jax.config import Experiment
from stylegan_jax.runtime.messages import listed
from stylegan_jax.workdir.description import DataInfo, chosen_step, load_description


@dataclasses.dataclass(frozen=True)
class RunState:
    """The state of a run or a conversion, read from its directory.

    Attributes:
      directory: the directory.
      experiment: its settings.
      data: its data.
      checkpoints: numbers of its checkpoints.
      step: number of the chosen one; None if there is none.
      metadata: that of the chosen one; empty if there is none.
    """

    directory: epath.Path
    experiment: Experiment
    data: DataInfo
    checkpoints: list[int]
    step: int | None
    metadata: dict[str, Any]

    @property
    def changed_settings(self) -> dict[str, Any]:
        """The settings that differ from their defaults, by `section.field`."""
        return {
            name: value
            for name, field, value in config.fields(self.experiment)
            if value != field.default
        }

    def facts(self) -> dict[str, str]:
        """Return name -> value of the facts that a user wants to know."""
        e, meta = self.experiment, self.metadata
        facts = {"directory": str(self.directory)}
        if self.step is None:
            facts["state"] = "no checkpoint yet"
        elif meta.get("step") is None:
            facts["state"] = "converted from an official file"
        else:
            kimg, total = (
                meta.get("images_seen", self.step) / 1000,
                e.training.total_kimg,
            )
            facts["state"] = f"{kimg:,.3f} of {total:,.3f} kimg, step {meta['step']:,}"
            if "resolution" in meta and meta["resolution"] != e.data.resolution:
                facts["state"] += f", at resolution {meta['resolution']}"
            if "training_seconds" in meta:
                facts["training time"] = f"{meta['training_seconds']:,.0f} s"
        facts["checkpoints"] = listed(self.checkpoints) or "none"
        if len(self.checkpoints) > 1:
            facts["checkpoints"] += f" (shown: {self.step})"
        facts["data"] = self.data.name
        if self.data.num_images:
            facts["data"] += f", {self.data.num_images:,} images"
        if self.data.classes:
            facts["classes of the data"] = listed(self.data.classes)
        if self.data.fingerprint:
            facts["data fingerprint"] = self.data.fingerprint
        return facts


def run_state(path: str | epath.Path, step: int | None = None) -> RunState:
    """Read the state of a run.

    Args:
      path: its directory, or one of its `checkpoints/NUMBER`.
      step: number of a checkpoint; None for that of the path, or else the newest.

    Raises:
      ValueError: the directory is not that of a run, a file in it is damaged, it has
        no such checkpoint, or the path names another one than `step`.
    """
    directory, step = chosen_step(path, step)
    experiment, data = load_description(directory)
    checkpoints = directory / "checkpoints"
    known = listing.steps(checkpoints)
    if step is None:
        step = max(known, default=None)
    elif step not in known:
        raise ValueError(
            f"{directory} has no checkpoint {step}; it has {listed(known) or 'none'}"
        )
    meta = {} if step is None else listing.metadata(checkpoints, step)
    wrong = [
        f"{name} (={meta[name]!r})"
        for name in ("step", "images_seen", "resolution", "training_seconds")
        if not isinstance(meta.get(name, 0), (int, float, type(None)))
    ]
    if wrong:
        raise ValueError(
            f"the metadata of checkpoint {step} of {directory} is damaged: "
            f"{listed(wrong)} must be numbers; {listing.REMEDY}"
        )
    return RunState(directory, experiment, data, known, step, meta)
