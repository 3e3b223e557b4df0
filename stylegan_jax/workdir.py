"""A run's directory: what is in it, and whether it belongs to this experiment.

config.json       the experiment
data.json         what the networks must know of the data: classes, fingerprint
environment.json  versions, devices and command of every start
checkpoints/  images/  tensorboard/  log.jsonl  metrics.jsonl
"""

import dataclasses
import json
import platform
from typing import Any

import jax
import numpy as np
from etils import epath

from stylegan_jax import config, models
from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from stylegan_jax.config import Experiment
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.environment import environment, versions
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.storage import write_json

# Where a host has its data and programs, and how it gets them.
OF_ONE_HOST = frozenset(
    {
        "data.path",
        "data.tfds_data_dir",
        "data.tfds_download",
        "data.prefetch_batches",
        "run.compilation_cache",
        "evaluation.cache",
        "evaluation.detector",
        "evaluation.vgg16",
    }
)
# What may change between two starts of a run without breaking it.
CHANGEABLE = OF_ONE_HOST | (
    {
        "model.remat",
        "training.total_kimg",
        "training.nonfinite_limit",
        "training.transfer",  # of a new run only
    }
    | {f"run.{f.name}" for f in dataclasses.fields(config.Run) if f.name != "seed"}
    | {f"evaluation.{f.name}" for f in dataclasses.fields(config.Evaluation)}
)


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """What `data.json` holds."""

    name: str
    num_images: int
    classes: tuple[str, ...]
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Trained:
    """A generator out of a directory, ready for use."""

    generator: Generator
    variables: Variables
    experiment: Experiment
    lod: LevelOfDetail  # that training had reached
    classes: tuple[str, ...]  # empty for unconditional networks
    checkpoint: int  # its number: images seen, 0 for conversions
    step: int | None  # of training; None for conversions


def facts(e: Experiment, data: DataInfo) -> dict[str, str]:
    """What all processes of a run must have in common, by name."""
    settings = _flat(config.to_dict(e))
    return (
        {"python": platform.python_version()}
        | {name: str(version) for name, version in versions().items()}
        | {k: repr(v) for k, v in settings.items() if k not in OF_ONE_HOST}
        | {"data": f"{data.num_images} images, fingerprint {data.fingerprint}"}
    )


def check(workdir: epath.Path, e: Experiment, data: DataInfo) -> None:
    """Raises ValueError if the directory holds a run that this one must not continue.

    The message shows every setting that differs.
    """
    if not (workdir / "config.json").exists():
        if (workdir / "checkpoints").exists():
            raise ValueError(
                f"{workdir} has checkpoints but no config.json, so it cannot be known "
                "whether they belong to this experiment. Restore the file or choose "
                "another --workdir."
            )
        return
    before = _flat(config.to_dict(config.load(workdir / "config.json")))
    now = _flat(config.to_dict(e))
    problems = [
        f"{key}: {before.get(key)!r} there, {now[key]!r} now"
        for key in now
        if key not in CHANGEABLE and before.get(key) != now[key]
    ]
    old = load_data_info(workdir)
    if old is not None and old.fingerprint != data.fingerprint:
        problems.append(
            f"data: {old.name} with {old.num_images} images there, {data.name} with "
            f"{data.num_images} images now (their fingerprints differ)"
            + _same_images_after_all(workdir, old, data)
        )
    if problems:
        raise ValueError(
            f"{workdir} holds a run with other settings; resuming would break it:\n  "
            + "\n  ".join(problems)
            + "\nUse these settings again, or choose another --workdir."
        )


def _same_images_after_all(workdir: epath.Path, old: DataInfo, now: DataInfo) -> str:
    """What to do about a fingerprint that was made before content counted in it."""
    if old.num_images != now.num_images or not now.name.startswith(
        ("folder ", "tfrecords ")
    ):
        return ""
    return (
        ". If this run was begun before the content of folders and TFRecords counted "
        "in their fingerprints, and the images are still those of then, put "
        f'"{now.fingerprint}" as "fingerprint" into {workdir / "data.json"}'
    )


def check_shared(workdir: epath.Path, newest: int | None, devices: Parallel) -> None:
    """Compares what the processes see in the run's directory; all have to call it.

    Raises:
      CheckpointError: not the same; it may pass, as file systems lag behind.
    """
    seen = devices.all_rows(np.array([-1 if newest is None else newest]))
    if len(set(seen.tolist())) > 1:
        checkpoints = ", ".join("none" if n < 0 else str(n) for n in seen)
        raise CheckpointError(
            f"the newest checkpoint in --workdir (={workdir}) is not the same for "
            f"all processes, in their order: {checkpoints}; it has to be one directory "
            "that all of them see, on a shared file system or in a bucket"
        )


def write(workdir: epath.Path, e: Experiment, data: DataInfo) -> None:
    """Writes or updates the descriptions of a run."""
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "config.json", config.to_dict(e))
    write_json(workdir / "data.json", dataclasses.asdict(data))
    path = workdir / "environment.json"
    starts = json.loads(path.read_text()) if path.exists() else []
    write_json(path, [*starts, environment()])


def load_data_info(workdir: epath.Path) -> DataInfo | None:
    """Reads `data.json`; None if there is none."""
    path = workdir / "data.json"
    if not path.exists():
        return None
    info = json.loads(path.read_text())
    return DataInfo(**info | {"classes": tuple(info["classes"])})


def label_size(e: Experiment, data: DataInfo) -> int:
    """Length of a label vector; 0 for unconditional networks.

    Raises:
      ValueError: the experiment is conditional and the data has no classes.
    """
    if e.data.conditional and not data.classes:
        raise ValueError(
            f"`data.conditional` is set, but {data.name} has no classes; sort the "
            "images into one folder per class, or set --config.data.conditional=False"
        )
    return len(data.classes) if e.data.conditional else 0


def open_checkpoints(
    workdir: epath.Path, keep: int, on_warning: Any, keep_best: int = 0
) -> Checkpoints:
    """The checkpoints of a run."""
    return Checkpoints(workdir / "checkpoints", keep, on_warning, keep_best)


def load_generator(workdir: epath.Path, step: int | None = None) -> Trained:
    """The averaged generator of a run, or of a converted network.

    Args:
      workdir: the directory.
      step: number of the checkpoint; None is the newest that is intact.

    Raises:
      ValueError: the directory is not one of a run.
    """
    data = load_data_info(workdir)
    if data is None or not (workdir / "config.json").exists():
        raise ValueError(
            f"{workdir} is not the directory of a run: config.json or data.json is "
            "missing. Give the --workdir of a training, or the --out of a conversion."
        )
    e = config.load(workdir / "config.json")
    size = label_size(e, data)
    generator, _ = models.build(e.model, e.data, size)
    abstract = jax.eval_shape(
        generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, e.model.z_dim), "float32"),
        jax.ShapeDtypeStruct((1, size), "float32") if size else None,
    )
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract
    )
    checkpoints = open_checkpoints(workdir, 1, print)
    found, items, meta = checkpoints.restore({"ema": abstract}, step)
    checkpoints.close()
    return Trained(
        generator=generator,
        variables=items["ema"],
        experiment=e,
        lod=LevelOfDetail(meta["resolution"], meta["fade"]),
        classes=data.classes if size else (),
        checkpoint=found,
        step=meta.get("step"),
    )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
