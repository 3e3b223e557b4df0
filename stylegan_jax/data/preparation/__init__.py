"""Preparation of a raw data set: all images are resized to a single size.

Only the order of the images determines their division into shards. A shard is written
to a temporary name and renamed, and its summary is saved; a run that was killed repeats
at most one shard when it is resumed, and writes the same bytes. The folder gets its
final name once it is complete.
"""

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from stylegan_jax.data import decoding, label_file, labels
from stylegan_jax.data.images import Size
from stylegan_jax.data.interface import InvalidImage, RawDataset
from stylegan_jax.data.preparation import output
from stylegan_jax.data.preparation.options import (
    OutputSize,
    PrepareOptions,
    output_size,
)
from stylegan_jax.data.preparation.shard import Shard
from stylegan_jax.runtime import json_files, outputs

SHARD_IMAGES = 1024
RESTART = "remove the folder of this unfinished run, and start again without --resume"
MAX_LISTED = 5  # skipped images named in one message

Progress = Callable[[str, int, int], None]  # activity, images done, images in total


def prepare(raw: RawDataset, options: PrepareOptions, progress: Progress) -> dict:
    """Write `options.out`.

    Args:
      raw: the images.
      options: the flags.
      progress: called with the activity, and the number of images done and in total.

    Returns:
      The content of dataset_info.json.

    Raises:
      ValueError: the images or the options cannot be used.
      OSError: writing failed; `--resume` continues.
    """
    _check_out(options.out)
    partial = options.out.with_name(options.out.name + ".partial")
    _check_options(options, partial)
    count = min(len(raw.names), options.max_images or len(raw.names))
    chosen = choose_labels(raw, options.labels)
    size, channels = _survey(raw, count, options, progress)
    _begin(partial, _work(raw, options, chosen, [*size.size, channels, count]))

    starts = range(0, count, SHARD_IMAGES)
    summaries, skipped = [], []
    for number, start in enumerate(starts):
        indices = range(start, min(start + SHARD_IMAGES, count))
        saved = partial / output.PROGRESS / f"{number:05d}.json"
        if not saved.exists():
            shard = Shard(raw, chosen, options, size, channels)
            shard.write(partial, number, len(starts), indices)
            output.write_json(saved, shard.summary())
        summaries.append(json_files.read_object(saved, RESTART))
        skipped += summaries[-1]["skipped"]
        progress(f"prepared, {len(skipped)} skipped", indices.stop, count)
    if len(skipped) == count:
        shutil.rmtree(partial)
        raise ValueError(
            f"none of the {count} images of {raw.name} can be used:" + listing(skipped)
        )
    info = output.dataset_info(raw, options, size, channels, chosen, summaries)
    output.finish(partial, options, info)
    return info


def choose_labels(raw: RawDataset, how: str) -> labels.Labels:
    """Return the labels that `--labels` selects.

    Raises:
      ValueError: there are none of that kind, or they are wrong.
    """
    if how == "none":
        return labels.unlabeled(len(raw.names))
    found = None
    if how == "folders":
        found = labels.from_folders(raw.names)
    elif raw.label_file is not None:
        try:
            found = label_file.read_labels(raw.label_file, raw.names)
        except ValueError as error:
            raise ValueError(
                f"{error}\nuse --labels=none to prepare the images without labels, or "
                "--labels=folders for folders as classes"
            ) from error
    elif how == "auto":
        found = raw.own_labels
    if found is None and how != "auto":
        raise ValueError(
            f"`--labels` (={how}) finds no labels in {raw.name}; "
            + (
                "all images must lie in subfolders, one per class, and in several"
                if how == "folders"
                else f"there must be a {label_file.LABEL_FILE} with labels next to them"
            )
            + ", or use --labels=none"
        )
    return found or labels.unlabeled(len(raw.names))


def dropped_labels(raw: RawDataset, how: str) -> tuple[str, ...]:
    """Return a note if folders look like classes and `--labels=auto` ignores them.

    Args:
      raw: the images.
      how: `--labels`.
    """
    if how != "auto" or raw.own_labels is not None or raw.label_file is not None:
        return ()
    folders = labels.from_folders(raw.names)
    if folders is None:
        return ()
    names = folders.names
    shown = ", ".join(names[:MAX_LISTED]) + ", ..." * (len(names) > MAX_LISTED)
    return (
        f"the images are in {len(names)} folders ({shown}), which --labels=auto does "
        "not use as classes; --labels=folders does",
    )


def listing(skipped: list[tuple[str, str]]) -> str:
    """Return the first skipped images, one per line, printable on any console."""
    lines = [f"{name} {reason}" for name, reason in skipped[:MAX_LISTED]]
    lines = [printable(line) for line in lines]
    if len(skipped) > MAX_LISTED:
        lines.append(f"... and {len(skipped) - MAX_LISTED} more")
    return "".join(f"\n  {line}" for line in lines)


def printable(text: str) -> str:
    """Escape the bytes of file names in a text that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _check_out(out: Path) -> None:
    """Raise ValueError unless a new file or folder can be written there."""
    if not out.name or out.name == ".." or out.is_mount():
        raise ValueError(
            f"`--out` (={out}) must be new, such as {out / 'prepared'}: a folder or "
            "zip of this name is made, and nothing is written into an existing folder"
        )
    if os.path.lexists(out):
        # Never advise removing a folder of photos.
        is_result = (out / output.INFO).is_file()
        advice = (
            "remove it, or choose another name" if is_result else "choose another name"
        )
        raise ValueError(f"`--out` (={out}) already exists; {advice}")
    outputs.check_parents(out, f"`--out` (={out})")


def _check_options(options: PrepareOptions, partial: Path) -> None:
    if partial.exists() and not options.resume:
        raise ValueError(
            f"{partial} was left by an unfinished run; continue it with --resume, or "
            "remove it"
        )
    if options.crop == "center-wide" and options.size is None:
        raise ValueError("`--crop` (=center-wide) needs --resolution=WIDTHxHEIGHT")
    if options.format == "zip" and options.multires:
        raise ValueError(
            "`--multires` needs --format=tfrecord; NVIDIA's zip has one size"
        )
    if options.format == "zip" and options.channels == 4:
        raise ValueError(
            "`--format` (=zip) needs 1 or 3 --channels; NVIDIA's code supports no "
            "others"
        )


def _survey(
    raw: RawDataset, count: int, options: PrepareOptions, progress: Progress
) -> tuple[OutputSize, int]:
    """Return size and channels of the result; read all headers if that is needed."""
    sizes: Counter[Size] = Counter()
    all_gray, problems = True, []
    needs_headers = options.size is None or options.channels is None
    for index in range(count if needs_headers else 0):
        try:
            header = decoding.read_header(raw.read(index), options.max_pixels)
        except InvalidImage as problem:
            problems.append((raw.names[index], str(problem)))
            continue
        finally:
            if index % 100 == 0:
                progress("inspected", index, count)
        sizes[header.height, header.width] += 1
        all_gray &= header.gray
    if needs_headers and not sizes:
        raise ValueError(
            f"none of the {count} images of {raw.name} can be used:" + listing(problems)
        )
    channels = options.channels or (1 if all_gray else 3)
    if options.size is not None:
        height, width = options.size
        is_wide = options.crop == "center-wide"  # its result is square
        return output_size((width if is_wide else height, width)), channels
    if len(sizes) > 1:
        common = ", ".join(f"{w}x{h} ({n})" for (h, w), n in sizes.most_common(5))
        side = 2 ** (min(min(size) for size in sizes).bit_length() - 1)
        raise ValueError(
            f"the images of {raw.name} have {len(sizes)} different sizes (width x "
            f"height): {common}{', ...' * (len(sizes) > 5)}; choose one, e.g. "
            f"--resolution={side} --crop=center"
        )
    return output_size(next(iter(sizes))), channels


def _work(
    raw: RawDataset, options: PrepareOptions, chosen: labels.Labels, result: list[int]
) -> dict:
    """Return everything that the bytes of the result depend on."""
    settings = dataclasses.asdict(options)
    for name in ("out", "strict", "resume", "workers"):
        del settings[name]
    return {
        "request": settings,
        "images": raw.identity,
        "labels": chosen.digest(),
        "result": result,
        "versions": output.versions(),
    }


def _begin(partial: Path, work: dict) -> None:
    """Make the folder, or check that an earlier run started the same work in it."""
    saved = partial / output.PROGRESS / "request.json"
    if not saved.exists():
        saved.parent.mkdir(parents=True, exist_ok=True)
        output.write_json(saved, work)
    earlier = json_files.read_object(saved, RESTART)
    work = json.loads(output.to_json(work))
    changed = [key for key in work if earlier.get(key) != work[key]]
    if changed:
        raise ValueError(
            f"{partial} was started with different {', '.join(changed)}; use the flags "
            "and images of that run, or remove it"
        )
