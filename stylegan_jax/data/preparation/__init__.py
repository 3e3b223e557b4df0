"""What `prepare` does: a collection of images becomes a data set of one size.

The work is cut into shards by the order of the images alone. A shard is written to a
temporary name, renamed and noted; a run that was killed repeats at most one shard and
ends with the same bytes. The folder gets its name when everything is in it.
"""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import PIL

from stylegan_jax.data import labels, tfrecords
from stylegan_jax.data.formats.archives import LABEL_FILE
from stylegan_jax.data.formats.collection import Collection, Unusable
from stylegan_jax.data.images import Size
from stylegan_jax.data.preparation import nvidia_zip, transform
from stylegan_jax.data.preparation.request import Geometry, Request, geometry_of
from stylegan_jax.data.preparation.shard import Shard

INFO = "dataset_info.json"
FORMAT_VERSION = 2
PROGRESS = "progress"  # folder with the notes of an unfinished run
SHARD_IMAGES = 1024
MAX_LISTED = 5

Progress = Callable[[str, int, int], None]  # what is done, images, of how many


def prepare(collection: Collection, request: Request, progress: Progress) -> dict:
    """Writes `request.out`.

    Returns:
      The content of dataset_info.json.

    Raises:
      ValueError: the images or the request can't be used; says why and what to do.
      OSError: writing failed; `--resume` goes on.
    """
    partial = request.out.with_name(request.out.name + ".partial")
    _check_request(request, partial)
    count = min(len(collection.names), request.max_images or len(collection.names))
    chosen = choose_labels(collection, request.labels)
    geometry, channels = _survey(collection, count, request, progress)
    work = _work(collection, request, chosen, [*geometry.size, channels, count])
    _begin(partial, work)

    starts = range(0, count, SHARD_IMAGES)
    notes, skipped = [], []
    for shard, start in enumerate(starts):
        indices = range(start, min(start + SHARD_IMAGES, count))
        note = partial / PROGRESS / f"{shard:05d}.json"
        if not note.exists():
            stem = f"{shard:05d}-of-{len(starts):05d}.tfrecord"
            images = Shard(collection, chosen, request, geometry, channels)
            images.write(partial, stem, indices)
            _write_json(note, images.note())
        notes.append(json.loads(note.read_text("utf-8")))
        skipped += notes[-1]["skipped"]
        progress(f"prepared, {len(skipped)} skipped", indices.stop, count)
    if len(skipped) == count:
        shutil.rmtree(partial)
        raise ValueError(
            f"None of the {count} images of {collection.name} can be used:"
            + listing(skipped)
        )
    info = _info(collection, request, geometry, channels, chosen, notes)
    _finish(partial, request, info)
    return info


def choose_labels(collection: Collection, how: str) -> labels.Labels:
    """What `--labels` asks for.

    Raises:
      ValueError: they aren't there, or are wrong.
    """
    if how == "none":
        return labels.none(len(collection.names))
    where = f"{LABEL_FILE} of {collection.name}"
    found = None
    if how == "folders":
        found = labels.from_folders(collection.names)
    elif collection.label_file is not None:
        found = labels.from_label_file(collection.label_file, collection.names, where)
    elif how == "auto":
        found = collection.own_labels
    if found is None and how != "auto":
        raise ValueError(
            f"`--labels` (={how}) finds none in {collection.name}; "
            + (
                "all images must lie in sub-folders, one per class"
                if how == "folders"
                else f"there must be a {LABEL_FILE} with labels beside the images"
            )
            + ", or use --labels=none"
        )
    return found or labels.none(len(collection.names))


def listing(skipped: list[tuple[str, str]]) -> str:
    """The first of them, each on a line of its own; any console can print it."""
    lines = [f"{name} {reason}" for name, reason in skipped[:MAX_LISTED]]
    lines = [printable(line) for line in lines]
    if len(skipped) > MAX_LISTED:
        lines.append(f"... and {len(skipped) - MAX_LISTED} more")
    return "".join(f"\n  {line}" for line in lines)


def printable(text: str) -> str:
    """A text with names of files in it; what is no UTF-8 becomes backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _check_request(request: Request, partial: Path) -> None:
    if request.out.exists():
        raise ValueError(
            f"`--out` (={request.out}) exists already; remove it, or name another"
        )
    if partial.exists() and not request.resume:
        raise ValueError(
            f"{partial} was left by a run that did not end; go on with --resume, or "
            "remove it"
        )
    if request.crop == "center-wide" and request.size is None:
        raise ValueError("`--crop` (=center-wide) needs --resolution=WIDTHxHEIGHT")
    if request.format == "zip" and request.multires:
        raise ValueError(
            "`--multires` is for --format=tfrecord; NVIDIA's zip has one size"
        )
    if request.format == "zip" and request.channels == 4:
        raise ValueError(
            "`--format` (=zip) takes 1 or 3 --channels; NVIDIA's code has no others"
        )


def _survey(
    collection: Collection, count: int, request: Request, progress: Progress
) -> tuple[Geometry, int]:
    """Size and channels of the result, from the headers of all images."""
    sizes: Counter[Size] = Counter()
    all_gray, problems = True, []
    ask_all = request.size is None or request.channels is None
    for index in range(count if ask_all else 0):
        try:
            header = transform.header(collection.read(index))
        except Unusable as problem:
            problems.append((collection.names[index], str(problem)))
            continue
        finally:
            if index % 100 == 0:
                progress("looked at", index, count)
        sizes[header.height, header.width] += 1
        all_gray &= header.gray
    if ask_all and not sizes:
        raise ValueError(
            f"None of the {count} images of {collection.name} can be used:"
            + listing(problems)
        )
    channels = request.channels or (1 if all_gray else 3)
    if request.size is not None:
        height, width = request.size
        wide = request.crop == "center-wide"
        return geometry_of((width, width) if wide else (height, width)), channels
    if len(sizes) > 1:
        common = ", ".join(f"{w}x{h} ({n})" for (h, w), n in sizes.most_common(5))
        side = 2 ** (min(min(size) for size in sizes).bit_length() - 1)
        raise ValueError(
            f"The images of {collection.name} have {len(sizes)} different sizes "
            f"(width x height): {common}{', ...' * (len(sizes) > 5)}; choose one, e.g. "
            f"--resolution={side} --crop=center"
        )
    return geometry_of(next(iter(sizes))), channels


def _work(
    collection: Collection, request: Request, chosen: labels.Labels, result: list[int]
) -> dict:
    """What the bytes of the result depend on."""
    settings = dataclasses.asdict(request)
    for name in ("out", "strict", "resume", "workers"):
        del settings[name]
    return {
        "request": settings,
        "images": collection.identity,
        "labels": chosen.digest(),
        "result": result,
        "versions": _versions(),
    }


def _begin(partial: Path, work: dict) -> None:
    """Makes the folder, or checks that the one of an earlier run was the same work."""
    note = partial / PROGRESS / "request.json"
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        _write_json(note, work)
    earlier = json.loads(note.read_text("utf-8"))
    changed = [key for key in work if earlier.get(key) != json.loads(_json(work))[key]]
    if changed:
        raise ValueError(
            f"{partial} was begun with other {', '.join(changed)}; give the flags and "
            "images of that run, or remove it"
        )


def _info(
    collection: Collection,
    request: Request,
    geometry: Geometry,
    channels: int,
    chosen: labels.Labels,
    notes: list[dict],
) -> dict:
    columns = zip(*(note["label_totals"] for note in notes), strict=True)
    digest = sum(int(note["digest"], 16) for note in notes) % 2**256
    identity = f"{digest:064x}{json.dumps(chosen.names)}".encode()
    return {
        "format_version": FORMAT_VERSION,
        "num_images": sum(note["count"] for note in notes),
        "height": geometry.size[0],
        "width": geometry.size[1],
        "base_size": geometry.base_size,
        "resolution": geometry.resolution,
        "channels": channels,
        "classes": chosen.names,
        "label_vectors": chosen.are_vectors,
        "label_totals": [sum(column) for column in columns],
        "resolutions": geometry.levels(request.multires),
        "images_of_shard": [note["count"] for note in notes],
        "crop": request.crop,
        "filter": request.filter,
        "fingerprint": hashlib.sha256(identity).hexdigest(),
        "source": Path(collection.name).name,
        "animated": sum(note["animated"] for note in notes),
        "skipped": [entry for note in notes for entry in note["skipped"]],
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("stylegan_jax")
    except metadata.PackageNotFoundError:  # run from a checkout
        own = "not installed"
    return {
        "stylegan_jax": own,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _finish(partial: Path, request: Request, info: dict) -> None:
    """Gives the result its name; the notes go last, so that a kill loses nothing."""
    if request.format == "zip":
        whole = partial / "whole.zip"
        nvidia_zip.write(whole, partial, info)
        tfrecords.replace(whole, request.out)
        shutil.rmtree(partial)
        return
    _write_json(partial / INFO, info)
    os.replace(partial, request.out)
    shutil.rmtree(request.out / PROGRESS)


def _write_json(path: Path, value: dict) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(_json(value), encoding="utf-8")
    tfrecords.replace(temporary, path)


def _json(value: dict) -> str:
    # In ASCII: names of files need not be UTF-8, and come as lone surrogates then.
    return json.dumps(value, indent=1) + "\n"
