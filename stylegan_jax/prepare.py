"""Turns a pile of images into a data set of one size.

python -m stylegan_jax.prepare --source=photos.zip --out=data/photos --resolution=256 \
    --crop=center
python -m stylegan_jax.train --config.data.source=prepared \
    --config.data.path=data/photos --config.data.resolution=256 ...
"""

import os
import re
import warnings

from absl import app, flags
from PIL import Image

from stylegan_jax.data import preparation
from stylegan_jax.data.formats import open_collection
from stylegan_jax.data.preparation import request, transform
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Prepares, and tells what was made and what was left out."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    # Pillow's warning of large images; `transform` has its own limit.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    wanted = request.Request(
        out=storage.local_path(FLAGS.out, "--out"),
        size=parse_resolution(FLAGS.resolution),
        crop=FLAGS.crop,
        filter=FLAGS.filter,
        channels=None if FLAGS.channels == "auto" else int(FLAGS.channels),
        multires=FLAGS.multires,
        labels=FLAGS.labels,
        max_images=FLAGS.max_images,
        format=FLAGS.format,
        strict=FLAGS.strict,
        resume=FLAGS.resume,
        workers=FLAGS.workers,
    )
    progress = ProgressBar()
    try:
        images = open_collection(FLAGS.source, FLAGS.split, FLAGS.tfds_data_dir)
        info = preparation.prepare(images, wanted, progress)
    except OSError as error:
        raise OSError(f"{error}; repair that and go on with --resume") from error
    finally:
        progress.clear()
    skipped, classes = info["skipped"], info["classes"]
    kind = "label vectors of {}" if info["label_vectors"] else "{} classes"
    labels = kind.format(len(classes) or "no")
    print(
        f"wrote {info['num_images']} images of {info['width']}x{info['height']} (width "
        f"x height), {info['channels']} channels, {labels} to "
        f"{wanted.out}"
    )
    for name, total in zip(classes[:20], info["label_totals"], strict=False):
        what = "sum of" if info["label_vectors"] else "class"
        print(f"  {what} {preparation.printable(name)}: {round(total, 3):,}")
    if info["animated"]:
        print(f"{info['animated']} are the first images of animations")
    if skipped:
        print(
            f"skipped {len(skipped)}, listed in {preparation.INFO}:"
            + preparation.listing(skipped)
        )


def parse_resolution(text: str | None) -> tuple[int, int] | None:
    """Height and width from "256" or "512x384", which is width x height.

    Raises:
      ValueError: it is neither.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(
            f"`--resolution` (={text!r}) must be a side as 256, or width x height as "
            "512x384"
        )
    return int(match[2] or match[1]), int(match[1])


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string(
        "source",
        None,
        "Folder, zip or tar; CIFAR-10's tar, MNIST's idx3, NVIDIA's TFRecords, LSUN's "
        "LMDB, parquet of Hugging Face; tfds:NAME.",
    )
    flags.DEFINE_string("split", None, "Of tfds:NAME (default: train), or of parquet.")
    flags.DEFINE_string("tfds_data_dir", None, "Where TFDS keeps its data sets.")
    flags.DEFINE_string("out", None, "Folder, or with --format=zip file, to make.")
    flags.DEFINE_string(
        "resolution", None, "A side, or WIDTHxHEIGHT; default: the images' own."
    )
    flags.DEFINE_enum(
        "crop",
        "none",
        transform.CROPS,
        "center: the middle; center-wide: NVIDIA's, on black in a square.",
    )
    flags.DEFINE_enum("filter", "lanczos", transform.FILTERS, "How images are resized.")
    flags.DEFINE_enum(
        "channels",
        "auto",
        ["auto", "1", "3", "4"],
        "auto: 1 if all images are gray, else 3; alpha is laid on white.",
    )
    flags.DEFINE_bool("multires", False, "Also store each smaller power of two.")
    flags.DEFINE_enum(
        "labels",
        "auto",
        request.LABELS,
        "auto: dataset.json or the archive's own, where there are any.",
    )
    flags.DEFINE_integer(
        "max_images", None, "Take only the first images.", lower_bound=1
    )
    flags.DEFINE_enum("format", "tfrecord", request.FORMATS, "zip: for NVIDIA's code.")
    flags.DEFINE_bool("strict", False, "Stop at the first bad file, don't skip it.")
    flags.DEFINE_bool("resume", False, "Go on with a run that did not end.")
    flags.DEFINE_integer(
        "workers", os.cpu_count(), "Images that are worked on at once.", lower_bound=1
    )
    flags.mark_flags_as_required(["source", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, OSError):
        app.run(main)
