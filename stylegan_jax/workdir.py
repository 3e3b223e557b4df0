"""The directory of a run: its contents, and checks before a run is resumed in it.

config.json       the experiment
data.json         facts about the data that networks depend on: classes, fingerprint
environment.json  versions, devices and command line of every start
checkpoints/  images/  tensorboard/  log.jsonl  metrics.jsonl  report.html
compilation_cache/  compiled programs of a run of several processes
"""

import dataclasses
import json
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from etils import epath

from stylegan_jax import config, models
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import Experiment
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.environment import environment, versions
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.storage import write_json

if TYPE_CHECKING:  # Orbax is slow to import
    from stylegan_jax.checkpoint import Checkpoints

# Settings that may differ between the hosts of a run: places and caches.
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
    }
)
# Settings that may change between two starts of a run.
CHANGEABLE_SETTINGS = HOST_SETTINGS | (
    {
        "data.cache",  # the batches are the same
        "model.remat",
        "training.total_kimg",
        "training.nonfinite_limit",
        "training.transfer",  # concerns a new run only
    }
    | {f"run.{f.name}" for f in dataclasses.fields(config.Run) if f.name != "seed"}
    | {f"evaluation.{f.name}" for f in dataclasses.fields(config.Evaluation)}
)

# Settings that a resumed run keeps from its config.json, whatever they are now.
KEPT_SETTINGS = (
    "model.dtype",
    "model.low_precision_resolutions",
    "model.conv_clamp",
    "model.float32_precision",
)


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """Contents of `data.json`.

    Attributes:
      name: description of the data set.
      num_images: number of images.
      classes: names of the classes, possibly none.
      fingerprint: checksum of the data set.
      decoder: `VERSION` of `data.decoding`; None if no images were read.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    fingerprint: str
    decoder: int | None = None


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
    """A trained or converted generator, ready for use.

    Attributes:
      generator: the network.
      variables: its averaged variables, for `generator.apply`.
      experiment: the experiment that trained it.
      lod: the level of detail that training had reached.
      classes: names of the classes; empty for unconditional networks.
      checkpoint: number of its checkpoint: images seen, or 0 for conversions.
      step: training steps; None for conversions.
      data: the data that it was trained on; None if they are not known.
    """

    generator: Generator
    variables: Variables
    experiment: Experiment
    lod: LevelOfDetail
    classes: tuple[str, ...]
    checkpoint: int
    step: int | None
    data: DataInfo | None = None


def facts(e: Experiment, data: DataInfo) -> dict[str, str]:
    """Return the facts, name -> value, that all processes of a run must agree on."""
    settings = _flatten(config.to_dict(e))
    return (
        {"python": platform.python_version()}
        | {name: str(version) for name, version in versions().items()}
        | {k: repr(v) for k, v in settings.items() if k not in HOST_SETTINGS}
        | {"data": f"{data.num_images} images, fingerprint {data.fingerprint}"}
    )


def keep_precision(workdir: epath.Path, e: Experiment) -> tuple[Experiment, list[str]]:
    """Return the experiment with the precision of the run in the directory, if any.

    The precision that a config file sets may change between versions of this package.

    Args:
      workdir: the run's directory.
      e: the experiment.

    Returns:
      The experiment, and a line for each setting that was replaced.
    """
    if not (workdir / "config.json").exists():
        return e, []
    stored = config.load(workdir / "config.json")
    kept, lines = {}, []
    for setting in KEPT_SETTINGS:
        name = setting.removeprefix("model.")
        there, now = getattr(stored.model, name), getattr(e.model, name)
        if there != now:
            kept[name] = there
            lines.append(
                f"keeping `{setting}` {there!r} of config.json; now it is {now!r}"
            )
    e = dataclasses.replace(e, model=dataclasses.replace(e.model, **kept))
    return e, lines


def decoder_notice(workdir: epath.Path, data: DataInfo) -> list[str]:
    """Return a line if another version of the decoder read the run's images so far."""
    old = load_data_info(workdir)
    if old is None or old.decoder in (None, data.decoder):
        return []
    return [
        f"the images of this run were read by version {old.decoder} of the decoder; "
        f"from now on, version {data.decoder} reads them. JPEGs, and images that are "
        "resized, have slightly different pixels, and some other files had wrong ones. "
        "Metrics measured before do not compare exactly with those measured from now on"
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
                "another experiment. Restore the file or choose another --workdir."
            )
        return
    stored = _flatten(config.to_dict(config.load(workdir / "config.json")))
    now = _flatten(config.to_dict(e))
    problems = [
        f"{key}: {stored.get(key)!r} there, {now[key]!r} now"
        for key in now
        if key not in CHANGEABLE_SETTINGS and stored.get(key) != now[key]
    ]
    difference = data_difference(workdir, load_data_info(workdir), data)
    if difference is not None:
        problems.append(f"data: {difference}")
    if problems:
        raise ValueError(
            f"{workdir} holds a run with other settings; resuming would break it:\n  "
            + "\n  ".join(problems)
            + "\nUse the settings of that run, or choose another --workdir."
        )


def data_difference(
    workdir: epath.Path, old: DataInfo | None, now: DataInfo
) -> str | None:
    """Return how data differ from those that a run was trained on; None if they do not.

    Args:
      workdir: the run's directory.
      old: the data of the run; None if they are not known.
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
        ". Fingerprints of folders and TFRecords in earlier versions do not cover the "
        "content of the images, nor those of folders and zips a dataset.json within a "
        "folder around the images. If the images and labels are the same, set "
        f'"fingerprint" to "{now.fingerprint}" in {workdir / "data.json"}'
    )


def check_shared(workdir: epath.Path, newest: int | None, devices: Parallel) -> None:
    """Check that all processes see the same directory; all of them must call it.

    Args:
      workdir: the run's directory.
      newest: number of the newest checkpoint that this process sees.
      devices: the devices.

    Raises:
      CheckpointError: if they do not, perhaps only because a file system lags behind.
    """
    seen = devices.all_rows(np.array([-1 if newest is None else newest]))
    if len(set(seen.tolist())) > 1:
        checkpoints = ", ".join("none" if n < 0 else str(n) for n in seen)
        raise CheckpointError(
            f"the processes see different newest checkpoints in --workdir "
            f"(={workdir}), in the order of the processes: {checkpoints}; it must be "
            "one directory for all of them, on a shared file system or in a bucket"
        )


def write_description(workdir: epath.Path, e: Experiment, data: DataInfo) -> None:
    """Write or update config.json, data.json and environment.json of a run."""
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "config.json", config.to_dict(e))
    write_json(workdir / "data.json", dataclasses.asdict(data))
    path = workdir / "environment.json"
    starts = json.loads(path.read_text()) if path.exists() else []
    write_json(path, [*starts, environment()])


def load_data_info(workdir: epath.Path) -> DataInfo | None:
    """Read `data.json`; return None if there is none."""
    path = workdir / "data.json"
    if not path.exists():
        return None
    info = json.loads(path.read_text())
    # Files of earlier versions do not name the first decoder.
    info = {"decoder": 1 if info["num_images"] else None} | info
    return DataInfo(**info | {"classes": tuple(info["classes"])})


def label_size(e: Experiment, data: DataInfo) -> int:
    """Return the length of a label vector; 0 for unconditional networks.

    Raises:
      ValueError: if the experiment is conditional and the data has no classes.
    """
    if e.data.conditional and not data.classes:
        raise ValueError(
            f"`data.conditional` is set, but {data.name} has no classes. Sort the "
            "images into one folder per class, or set --config.data.conditional=False."
        )
    return len(data.classes) if e.data.conditional else 0


def open_checkpoints(
    workdir: epath.Path,
    keep: int,
    on_warning: Callable[[str], None],
    keep_best: int = 0,
) -> "Checkpoints":
    """Open the checkpoints of a run; see `Checkpoints`."""
    from stylegan_jax.checkpoint import Checkpoints

    return Checkpoints(workdir / "checkpoints", keep, on_warning, keep_best)


def load_generator(workdir: epath.Path, step: int | None = None) -> TrainedGenerator:
    """Load the averaged generator of a run, or of a converted network.

    Args:
      workdir: the directory.
      step: number of the checkpoint; None for the newest that is intact.

    Raises:
      ValueError: if the directory is not that of a run.
      CheckpointError: if the checkpoint cannot be read.
    """
    data = load_data_info(workdir)
    if data is None or not (workdir / "config.json").exists():
        raise ValueError(
            f"{workdir} is not the directory of a run: config.json or data.json is "
            "missing. Use the --workdir of a training run or the --out of a conversion."
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
    device = parallel.first_local_device()
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), abstract
    )
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
    )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
