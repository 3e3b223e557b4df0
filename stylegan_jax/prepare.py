"""Turn images of any size and format into a data set of one size.

python -m stylegan_jax.prepare --source=photos.zip --out=data/photos --resolution=256 \
    --crop=center
python -m stylegan_jax.train --config.data.path=data/photos \
    --config.data.resolution=256 ...
"""

from stylegan_jax.commands.prepare import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from absl import app, flags
from PIL import Image

from stylegan_jax.data import preparation
from stylegan_jax.data.formats import open_raw_dataset
from stylegan_jax.data.preparation import options
from stylegan_jax.data.preparation.output import INFO
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import describe, reporting_errors
from stylegan_jax.runtime.messages import MAX_NAMES, parse_sides
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Prepare the images, and print what was written and what was skipped."""
    del argv
    Image.MAX_IMAGE_PIXELS = None  # `--max_pixels` replaces Pillow's own limit
    out = storage.local_path(FLAGS.out, "--out")
    size = FLAGS.resolution
    chosen = options.PrepareOptions(
        out=out,
        size=size and parse_sides(size, "--resolution"),
        crop=FLAGS.crop,
        filter=FLAGS.filter,
        channels=None if FLAGS.channels == "auto" else int(FLAGS.channels),
        multires=FLAGS.multires,
        labels=FLAGS.labels,
        max_images=FLAGS.max_images,
        max_pixels=FLAGS.max_pixels,
        format=options.choose_format(FLAGS.format, out),
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
        if error.filename is None:
            error = storage.naming(out, error)
        message = f"{describe(error)}; fix the cause and continue with --resume"
        raise OSError(message) from error
    finally:
        progress.clear()
    skipped, classes = info["skipped"], info["classes"]
    kind = "label vectors of {}" if info["label_vectors"] else "{} classes"
    labels = kind.format(len(classes) or "no")
    print(
        f"wrote {info['num_images']} images of {info['width']}x{info['height']} (width "
        f"x height), {info['channels']} channels, {labels} to {chosen.out}"
    )
    for name, total in zip(classes[:MAX_NAMES], info["label_totals"], strict=False):
        kind = "sum of" if info["label_vectors"] else "class"
        print(f"  {kind} {preparation.printable(name)}: {round(total, 3):,}")
    if info["animated"]:
        print(f"{info['animated']} are the first frames of animations")
    if skipped:
        print(
            f"skipped {len(skipped)}, listed in {INFO}:" + preparation.listing(skipped)
        )


if __name__ == "__main__":
    with reporting_errors(ValueError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
