"""The directory of a run: its contents, and checks before a run is resumed in it.

config.json       the experiment
data.json         facts about the data that networks depend on: classes, fingerprint
environment.json  versions, devices and command line of every start
checkpoints/  images/  tensorboard/  log.jsonl  metrics.jsonl  report.html
compilation_cache/  compiled programs of a run of several processes
"""

import dataclasses
import difflib
import os
import platform
import shlex
import types
import typing
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from etils import epath

from stylegan_jax import config, models
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import Experiment
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime import json_files, parallel, storage
from stylegan_jax.runtime.environment import environment, versions
from stylegan_jax.runtime.messages import lines, listed
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


# Sections of a config.json whose settings of other versions may be left out: they say
# nothing about the course of a run, or about its networks.
HARMLESS_TO_RESUME = ("run", "evaluation")
HARMLESS_TO_LOAD = ("training", *HARMLESS_TO_RESUME)


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
      experiment: the experiment that trained it; None if there is none that describes
        a network of an official file.
      lod: the level of detail that training had reached.
      classes: names of the classes; empty for unconditional networks.
      checkpoint: number of its checkpoint: images seen, or 0 for conversions.
      step: training steps; None for conversions.
      data: the data that it was trained on; None if they are not known.
    """

    generator: Generator
    variables: Variables
    experiment: Experiment | None
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
    stored = _load_config(workdir, HARMLESS_TO_RESUME)
    kept, told = {}, []
    for setting in KEPT_SETTINGS:
        name = setting.removeprefix("model.")
        there, now = getattr(stored.model, name), getattr(e.model, name)
        if there != now:
            kept[name] = there
            told.append(
                f"keeping `{setting}` {there!r} of config.json; now it is {now!r}"
            )
    e = dataclasses.replace(e, model=dataclasses.replace(e.model, **kept))
    return e, told


def decoder_notice(workdir: epath.Path, data: DataInfo) -> list[str]:
    """Return a line if another version of the decoder read the run's images so far."""
    old = load_data_info(workdir, lambda _: None)
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
    # `keep_precision` has told about unknown settings already.
    stored = _load_config(workdir, HARMLESS_TO_RESUME, lambda _: None)
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
            + "\nUse the settings of that run, or choose another --workdir. To start a "
            "new run there from the networks of this one, add "
            + shlex.quote(f"--config.training.transfer={workdir}")
            + " (with --config.training.ema_rampup=0)" * bool(e.training.ema_rampup)
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
        checkpoints = listed("none" if n < 0 else n for n in seen)
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
    write_json(path, [*_earlier_starts(path), environment()])


def _earlier_starts(path: epath.Path) -> list[Any]:
    """Return the content of environment.json; set a damaged file aside.

    Nothing depends on it, so that it must not keep a run from being resumed.
    """
    if not path.exists():
        return []
    try:
        starts = json_files.read(path, "It records the starts of the run.")
        if isinstance(starts, list):
            return starts
        problem = f"{path} is damaged: it must hold a list."
    except ValueError as error:
        problem = str(error)
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    print(f"WARNING: {problem} It is kept as {aside.name}, and a new one is begun.")
    return []


def load_data_info(
    workdir: epath.Path, on_warning: Callable[[str], None] = print
) -> DataInfo | None:
    """Read `data.json`; return None if there is none.

    Args:
      workdir: the run's directory.
      on_warning: told about keys of other versions, which are left out.

    Raises:
      ValueError: the file is damaged; the message names it.
    """
    path = workdir / "data.json"
    if not path.exists():
        return None
    info = json_files.read_object(path, config.REMEDY)
    # Files of earlier versions do not name the first decoder.
    info = {"decoder": 1 if info.get("num_images") else None} | info
    hints = typing.get_type_hints(DataInfo)
    unknown = [name for name in info if name not in hints]
    if unknown:
        on_warning(
            f"WARNING: {path} has keys that this version does not know, and that have "
            f"no effect here: {listed(unknown)}"
        )
    known = {name: value for name, value in info.items() if name in hints}
    if isinstance(known.get("classes"), list):
        known["classes"] = tuple(known["classes"])
    wrong = [
        f"`{field.name}` (={known.get(field.name)!r})"
        for field in dataclasses.fields(DataInfo)
        if not _has_type(known.get(field.name, field.default), hints[field.name])
    ]
    if wrong:
        raise ValueError(
            f"{path} is damaged: {listed(wrong)} must be there and have the right "
            f"type. {config.REMEDY}"
        )
    return DataInfo(**known)


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


def split(path: str | os.PathLike) -> tuple[epath.Path, int | None]:
    """Return the directory of a run, and the number of a checkpoint if there is one.

    Args:
      path: the directory, its `checkpoints`, or one of its `checkpoints/NUMBER`.
    """
    directory = storage.open_path(path)
    place = directory
    if storage.scheme_of(path) is None:  # `path` may be relative to `checkpoints`
        place = epath.Path(os.path.abspath(directory))
    if place.parent.name == "checkpoints" and place.name.isdecimal():
        return place.parent.parent, int(place.name)
    if place.name == "checkpoints" and not (place / "config.json").exists():
        return place.parent, None
    return directory, None


def load_description(workdir: epath.Path) -> tuple[Experiment, DataInfo]:
    """Read config.json and data.json of a run or of a conversion, to use its networks.

    Raises:
      ValueError: the directory is not that of a run, or the files are damaged.
    """
    check_is_run(workdir)
    data = load_data_info(workdir)
    return _load_config(workdir, HARMLESS_TO_LOAD), data


def check_is_run(workdir: epath.Path) -> None:
    """Raise ValueError unless a directory has the files of a run or a conversion."""
    missing = [
        name for name in ("config.json", "data.json") if not (workdir / name).exists()
    ]
    if not missing:
        return
    advice = "Use the --workdir of a training run or the --out of a conversion."
    if not workdir.exists():
        raise ValueError(f"{workdir} does not exist{similar(workdir)} {advice}")
    if not workdir.is_dir():
        raise ValueError(f"{workdir} is a file, not the directory of a run. {advice}")
    runs = sorted(str(path.parent) for path in workdir.glob("*/config.json"))
    inside = f" It contains the runs {listed(runs)}." if runs else ""
    raise ValueError(
        f"{workdir} is not the directory of a run: {' and '.join(missing)} "
        f"{'are' if len(missing) > 1 else 'is'} missing.{inside} {advice}"
    )


def similar(workdir: epath.Path) -> str:
    """Return the end of a sentence: a question about a similar name, or a full stop."""
    if storage.scheme_of(workdir) is not None or not workdir.parent.is_dir():
        return "."
    names = [path.parent.name for path in workdir.parent.glob("*/config.json")]
    close = difflib.get_close_matches(workdir.name, names, n=1)
    return f"; did you mean {workdir.parent / close[0]}?" if close else "."


def load_generator(workdir: epath.Path, step: int | None = None) -> TrainedGenerator:
    """Load the averaged generator of a run, or of a converted network.

    Args:
      workdir: the directory, or one of its `checkpoints/NUMBER`.
      step: number of the checkpoint; None for that of `workdir`, or else for the
        newest that is intact.

    Raises:
      ValueError: if the directory is not that of a run.
      CheckpointError: if the checkpoint cannot be read.
    """
    workdir, numbered = split(workdir)
    if numbered is not None and step not in (None, numbered):
        raise ValueError(
            f"The directory names checkpoint {numbered} of {workdir}, and the step is "
            f"{step}; omit one of them."
        )
    step = numbered if step is None else step
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


def _has_type(value: Any, hint: Any) -> bool:
    """Return True for a value of a type, such as `int`, a union or `tuple[X, ...]`."""
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_has_type(x, item) for x in value)
    if isinstance(hint, types.UnionType):
        return any(_has_type(value, option) for option in typing.get_args(hint))
    plain = typing.get_origin(hint) or hint
    return isinstance(value, plain) and isinstance(value, bool) == (hint is bool)


def _load_config(
    workdir: epath.Path,
    ignored: Collection[str],
    on_warning: Callable[[str], None] = print,
) -> Experiment:
    return config.load(workdir / "config.json", ignored, on_warning)


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
