"""Turn images of any size and format into a data set of one size.

python -m stylegan_jax.prepare --source=photos.zip --out=data/photos --resolution=256 \
    --crop=center
python -m stylegan_jax.train --config.data.path=data/photos \
    --config.data.resolution=256 ...
"""

import os
import re
import warnings

from absl import app, flags
from PIL import Image

from stylegan_jax.data import images, preparation
from stylegan_jax.data.formats import open_raw_dataset
from stylegan_jax.data.preparation import options
from stylegan_jax.data.preparation.output import INFO
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Prepare the images, and print what was written and what was skipped."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    # Silence Pillow's warning about large images; `decoding` has its own limit.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    chosen = options.PrepareOptions(
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
        raw = open_raw_dataset(FLAGS.source, FLAGS.split, FLAGS.tfds_data_dir)
        for note in (*raw.notes, *preparation.dropped_labels(raw, chosen.labels)):
            print(f"NOTE: {preparation.printable(note)}")
        info = preparation.prepare(raw, chosen, progress)
    except OSError as error:
        raise OSError(f"{error}; fix the cause and continue with --resume") from error
    finally:
        progress.clear()
    skipped, classes = info["skipped"], info["classes"]
    kind = "label vectors of {}" if info["label_vectors"] else "{} classes"
    labels = kind.format(len(classes) or "no")
    print(
        f"wrote {info['num_images']} images of {info['width']}x{info['height']} (width "
        f"x height), {info['channels']} channels, {labels} to {chosen.out}"
    )
    for name, total in zip(classes[:20], info["label_totals"], strict=False):
        kind = "sum of" if info["label_vectors"] else "class"
        print(f"  {kind} {preparation.printable(name)}: {round(total, 3):,}")
    if info["animated"]:
        print(f"{info['animated']} are the first frames of animations")
    if skipped:
        print(
            f"skipped {len(skipped)}, listed in {INFO}:" + preparation.listing(skipped)
        )


def parse_resolution(text: str | None) -> tuple[int, int] | None:
    """Return (height, width) from "256" or "512x384", which is width x height.

    Raises:
      ValueError: the text has neither form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(
            f"`--resolution` (={text!r}) must be a side such as 256, or WIDTHxHEIGHT "
            "such as 512x384"
        )
    return int(match[2] or match[1]), int(match[1])


def define_flags() -> None:
    """Define the command-line flags."""
    flags.DEFINE_string(
        "source",
        None,
        "Images: a folder, zip or tar; CIFAR-10's tar, MNIST's idx3, NVIDIA's "
        "TFRecords, LSUN's LMDB, Hugging Face's parquet; or tfds:NAME.",
    )
    flags.DEFINE_string(
        "split", None, "Split of tfds:NAME [default: train] or of parquet files."
    )
    flags.DEFINE_string("tfds_data_dir", None, "Directory of the TFDS data sets.")
    flags.DEFINE_string("out", None, "Folder to write, or file with --format=zip.")
    flags.DEFINE_string(
        "resolution", None, "SIDE or WIDTHxHEIGHT [default: that of the images]."
    )
    flags.DEFINE_enum(
        "crop",
        "none",
        images.CROPS,
        "none: resize the whole image; center: first crop to the largest centered "
        "window of the same aspect ratio; center-wide: NVIDIA's crop, padded with "
        "black to a square.",
    )
    flags.DEFINE_enum("filter", "lanczos", images.FILTERS, "Filter for resizing.")
    flags.DEFINE_enum(
        "channels",
        "auto",
        ["auto", "1", "3", "4"],
        "auto: 1 if all images are gray, else 3; alpha is composited on white.",
    )
    flags.DEFINE_bool(
        "multires", False, "Also store every lower resolution, down to 4."
    )
    flags.DEFINE_enum(
        "labels",
        "auto",
        options.LABELS,
        "auto: labels of dataset.json or of the format itself, if any.",
    )
    flags.DEFINE_integer(
        "max_images",
        None,
        "Use only the first images, up to this number.",
        lower_bound=1,
    )
    flags.DEFINE_enum(
        "format",
        "tfrecord",
        options.FORMATS,
        "tfrecord: for `data.source=prepared`; zip: for NVIDIA's code.",
    )
    flags.DEFINE_bool("strict", False, "Stop at the first unusable image.")
    flags.DEFINE_bool("resume", False, "Continue an unfinished run.")
    flags.DEFINE_integer(
        "workers", os.cpu_count(), "Images to process in parallel.", lower_bound=1
    )
    flags.mark_flags_as_required(["source", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, OSError):
        app.run(main)
