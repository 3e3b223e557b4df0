"""Checks before a run starts or resumes in a directory."""

import dataclasses
import platform
import shlex
from typing import Any

import numpy as np
from etils import epath

from stylegan_jax import config
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import Experiment
from stylegan_jax.runtime.environment import versions
from stylegan_jax.runtime.messages import lines, listed
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.workdir.description import DataInfo, load_config, load_data_info

# Settings that may differ between the hosts of a run: paths and caches.
HOST_SETTINGS = frozenset(
    {
        "data.path",
        "data.tfds_data_dir",
        "data.tfds_download",
        "data.prefetch_batches",
        "run.compilation_cache",
        "evaluation.cache",
        "evaluation.detector",
        "evaluation.vgg16",
        "evaluation.efficientnet",
    }
)

# Settings that may change when a run is resumed.
CHANGEABLE_SETTINGS = HOST_SETTINGS | (
    {
        "data.cache",  # the batches are the same
        "model.remat",
        "training.total_kimg",
        "training.nonfinite_limit",
        "training.on_collapse",
        "training.transfer",  # see `keep_from_run`
    }
    | {f"run.{f.name}" for f in dataclasses.fields(config.Run) if f.name != "seed"}
    | {f"evaluation.{f.name}" for f in dataclasses.fields(config.Evaluation)}
)

# Settings that a resumed run keeps from its config.json, whatever the config says.
KEPT_SETTINGS = (
    "model.dtype",
    "model.low_precision_resolutions",
    "model.conv_clamp",
    "model.float32_precision",
)

# Sections of a config.json whose unknown settings are ignored, because they do not
# affect the course of a run.
HARMLESS_TO_RESUME = ("run", "evaluation")


def facts(e: Experiment, data: DataInfo) -> dict[str, str]:
    """Return the facts, name -> value, that all processes of a run must agree on."""
    settings = _flatten(config.to_dict(e))
    return (
        {"python": platform.python_version()}
        | {name: str(version) for name, version in versions().items()}
        | {k: repr(v) for k, v in settings.items() if k not in HOST_SETTINGS}
        | {"data": f"{data.num_images} images, fingerprint {data.fingerprint}"}
    )


def keep_from_run(workdir: epath.Path, e: Experiment) -> tuple[Experiment, list[str]]:
    """Return the experiment with the settings that it keeps from the run, if any.

    The precision that a config file sets may change between versions of this package.
    `training.transfer` is read when a run starts, but always affects the speed of
    adaptive augmentation.

    Args:
      workdir: the run's directory.
      e: the experiment.

    Returns:
      The experiment, and a line for each setting that was replaced.
    """
    if not (workdir / "config.json").exists():
        return e, []
    stored = load_config(workdir, HARMLESS_TO_RESUME)
    kept, notices = {}, []
    for setting in KEPT_SETTINGS:
        name = setting.removeprefix("model.")
        there, now = getattr(stored.model, name), getattr(e.model, name)
        if there != now:
            kept[name] = there
            notices.append(
                f"keeping `{setting}` {there!r} from config.json instead of {now!r}"
            )
    e = dataclasses.replace(
        e,
        model=dataclasses.replace(e.model, **kept),
        training=dataclasses.replace(e.training, transfer=stored.training.transfer),
    )
    return e, notices


def decoder_notice(workdir: epath.Path, data: DataInfo) -> list[str]:
    """Return a line if the run's images were read by another version of the decoder."""
    old = load_data_info(workdir, lambda _: None)
    if old is None or old.decoder in (None, data.decoder):
        return []
    return [
        f"the images of this run were read by version {old.decoder} of the decoder; "
        f"from now on, version {data.decoder} reads them. JPEGs, and images that are "
        "resized, have slightly different pixels, and some other files had wrong ones. "
        "Metrics measured so far are not exactly comparable with later ones"
    ]


def check_resumable(workdir: epath.Path, e: Experiment, data: DataInfo) -> None:
    """Check that a run may start in the directory or be resumed there.

    Raises:
      ValueError: if the directory holds another run; names all settings that differ.
    """
    if not (workdir / "config.json").exists():
        if (workdir / "checkpoints").exists():
            raise ValueError(
                f"{workdir} has checkpoints but no config.json, so they may belong to "
                "another experiment; restore the file or choose another --workdir"
            )
        return
    # `keep_from_run` has already warned about unknown settings.
    stored = load_config(workdir, HARMLESS_TO_RESUME, lambda _: None)
    stored = _flatten(config.to_dict(stored))
    now = _flatten(config.to_dict(e))
    problems = [
        f"{key}: {stored.get(key)!r} there, {now[key]!r} now"
        for key in now
        if key not in CHANGEABLE_SETTINGS and stored.get(key) != now[key]
    ]
    difference = data_difference(workdir, load_data_info(workdir, print), data)
    if difference is not None:
        problems.append(f"data: {difference}")
    if problems:
        raise ValueError(
            f"{workdir} holds a run with other settings; resuming would break it:"
            + lines(problems)
            + "\nuse the settings of that run, or choose another --workdir; to start a "
            "new run there from the networks of this one, add "
            + shlex.quote(f"--config.training.transfer={workdir}")
            + " (with --config.training.ema_rampup=0)" * bool(e.training.ema_rampup)
        )


def data_difference(
    workdir: epath.Path, old: DataInfo | None, now: DataInfo
) -> str | None:
    """Return the difference of data from those that a run was trained on, if any.

    Args:
      workdir: the run's directory.
      old: the data of the run; None if unknown.
      now: the data now.
    """
    if old is None or old.fingerprint == now.fingerprint:
        return None
    return (
        f"{old.name} with {old.num_images} images there, {now.name} with "
        f"{now.num_images} images now (their fingerprints differ)"
        + _advice_on_old_fingerprint(workdir, old, now)
    )


def _advice_on_old_fingerprint(
    workdir: epath.Path, old: DataInfo, now: DataInfo
) -> str:
    """Return advice for a run whose fingerprint may not cover the images' content."""
    if old.num_images != now.num_images or not now.name.startswith(
        ("folder ", "tfrecords ", "zip ")
    ):
        return ""
    return (
        "; fingerprints of folders and TFRecords in earlier versions do not cover the "
        "content of the images, nor those of folders and zips a dataset.json within a "
        "folder around the images; if the images and labels are the same, set "
        f'"fingerprint" to "{now.fingerprint}" in {workdir / "data.json"}'
    )


def check_shared(workdir: epath.Path, newest: int | None, devices: Parallel) -> None:
    """Check that all processes see the same directory; all of them must call it.

    Args:
      workdir: the run's directory.
      newest: number of the newest checkpoint that this process sees.
      devices: the devices.

    Raises:
      CheckpointError: if they do not, which may be due to delays of a file system.
    """
    seen = devices.all_rows(np.array([-1 if newest is None else newest]))
    if len(set(seen.tolist())) > 1:
        checkpoints = listed("none" if n < 0 else n for n in seen)
        raise CheckpointError(
            f"the processes see different newest checkpoints in --workdir "
            f"(={workdir}), in the order of the processes: {checkpoints}; it must be "
            "one directory for all of them, on a shared file system or in a bucket"
        )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
