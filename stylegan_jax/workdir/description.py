"""The files that describe a run: reading, writing, and messages about invalid ones."""

import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

from etils import epath

from stylegan_jax import config
from stylegan_jax.config import Experiment
from stylegan_jax.runtime import json_files, storage
from stylegan_jax.runtime.environment import environment
from stylegan_jax.runtime.messages import listed
from stylegan_jax.runtime.storage import write_json

# Sections of a config.json whose unknown settings are ignored, because they do not
# affect the networks.
HARMLESS_TO_LOAD = ("training", "run", "evaluation")


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """Contents of `data.json`.

    Attributes:
      name: description of the data set.
      num_images: number of images.
      classes: names of the classes, possibly none.
      fingerprint: checksum of the data set.
      decoder: `VERSION` of `data.decoding`; None if no images were read.
      label_vectors: True for continuous label vectors, whose components `classes` then
        names.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    fingerprint: str
    decoder: int | None = None
    label_vectors: bool = False


def write_description(workdir: epath.Path, e: Experiment, data: DataInfo) -> None:
    """Write or update config.json, data.json and environment.json of a run."""
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "config.json", config.to_dict(e))
    write_json(workdir / "data.json", dataclasses.asdict(data))
    path = workdir / "environment.json"
    write_json(path, [*_earlier_starts(path), environment()])


def _earlier_starts(path: epath.Path) -> list[Any]:
    """Return the content of environment.json; set a damaged file aside.

    Nothing depends on it, so it must not keep a run from being resumed.
    """
    if not path.exists():
        return []
    try:
        starts = json_files.read(path, "it records the starts of the run")
        if isinstance(starts, list):
            return starts
        problem = f"{path} is damaged: it must hold a list"
    except ValueError as error:
        problem = str(error)
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    print(f"WARNING: {problem}; it is kept as {aside.name}, and a new one is started")
    return []


def load_description(workdir: epath.Path) -> tuple[Experiment, DataInfo]:
    """Read config.json and data.json of a run or of a conversion, to use its networks.

    Raises:
      ValueError: the directory is not that of a run, or the files are damaged.
    """
    check_is_run(workdir)
    data = load_data_info(workdir)
    return load_config(workdir, HARMLESS_TO_LOAD), data


def load_config(
    workdir: epath.Path,
    ignored: Collection[str],
    on_warning: Callable[[str], None] = print,
) -> Experiment:
    """Read config.json, ignoring unknown settings in the sections `ignored`."""
    return config.load(workdir / "config.json", ignored, on_warning)


def load_data_info(
    workdir: epath.Path, on_warning: Callable[[str], None] = print
) -> DataInfo | None:
    """Read `data.json`; return None if there is none.

    Args:
      workdir: the run's directory.
      on_warning: receives a warning that lists unknown keys, which are ignored.

    Raises:
      ValueError: the file is damaged; the message names it.
    """
    path = workdir / "data.json"
    if not path.exists():
        return None
    info = json_files.read_object(path, config.REMEDY)
    # Files without a version are of the first decoder.
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
            f"type; {config.REMEDY}"
        )
    return DataInfo(**known)


def label_size(e: Experiment, data: DataInfo) -> int:
    """Return the length of a label vector; 0 for unconditional networks.

    Raises:
      ValueError: if the experiment is conditional and the data has no classes.
    """
    if e.data.conditional and not data.classes:
        raise ValueError(
            f"`data.conditional` is set, but {data.name} has no classes; sort the "
            "images into one folder per class, or set --config.data.conditional=False"
        )
    return len(data.classes) if e.data.conditional else 0


def check_is_run(workdir: epath.Path) -> None:
    """Raise ValueError unless a directory has the files of a run or a conversion."""
    missing = [
        name for name in ("config.json", "data.json") if not (workdir / name).exists()
    ]
    if not missing:
        return
    advice = "use the --workdir of a training run or the --out of a conversion"
    if not workdir.exists():
        raise ValueError(f"{workdir} does not exist{similar(workdir)}; {advice}")
    if not workdir.is_dir():
        raise ValueError(f"{workdir} is a file, not the directory of a run; {advice}")
    runs = sorted(str(path.parent) for path in workdir.glob("*/config.json"))
    inside = f"; it contains the runs {listed(runs)}" if runs else ""
    raise ValueError(
        f"{workdir} is not the directory of a run: {' and '.join(missing)} "
        f"{'are' if len(missing) > 1 else 'is'} missing{inside}; {advice}"
    )


def similar(workdir: epath.Path) -> str:
    """Return a question about a similar name, in parentheses; "" if there is none."""
    if storage.scheme_of(workdir) is not None or not workdir.parent.is_dir():
        return ""
    names = [path.parent.name for path in workdir.parent.glob("*/config.json")]
    close = difflib.get_close_matches(workdir.name, names, n=1)
    return f" (did you mean {workdir.parent / close[0]}?)" if close else ""


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


def chosen_step(
    path: str | os.PathLike, step: int | None
) -> tuple[epath.Path, int | None]:
    """Return the directory of a run and the number of the checkpoint that is chosen.

    Args:
      path: see `split`.
      step: the number; None for that of the path, if there is one.

    Raises:
      ValueError: the path and the step name different checkpoints.
    """
    directory, numbered = split(path)
    if numbered is not None and step not in (None, numbered):
        raise ValueError(
            f"the directory names checkpoint {numbered} of {directory}, and the step "
            f"is {step}; omit one of them"
        )
    return directory, numbered if step is None else step


def _has_type(value: Any, hint: Any) -> bool:
    """Return True for a value of a type, such as `int`, a union or `tuple[X, ...]`."""
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_has_type(x, item) for x in value)
    if isinstance(hint, types.UnionType):
        return any(_has_type(value, option) for option in typing.get_args(hint))
    plain = typing.get_origin(hint) or hint
    return isinstance(value, plain) and isinstance(value, bool) == (hint is bool)
