r"""Takes metrics of a generator, or of two sets of images.

python -m stylegan_jax.evaluate --workdir=runs/emoji --metrics=swd,msssim
python -m stylegan_jax.evaluate --images_a=cifar/train --images_b=cifar/test \
    --metrics=fid50k,kid,pr --detector=pt_inception-2015-12-05-6726825d.pth
"""

import re

import jax
from absl import app, flags

from stylegan_jax import host_memory, parallel, paths, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.data import sources
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import plain
from stylegan_jax.front_door import reporting_errors
from stylegan_jax.live_line import LiveLine
from stylegan_jax.metrics import evaluation, opening, records, result, table
from stylegan_jax.metrics.image_sets import (
    GeneratedImages,
    RealImages,
    Subject,
    class_weights,
)
from stylegan_jax.metrics.networks.detectors import KINDS
from stylegan_jax.parallel import Parallel

FLAGS = flags.FLAGS
HEARTBEAT_SECONDS = 100


def main(argv: list[str]) -> None:
    """Takes the metrics, prints a table and appends to `metrics.jsonl`."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    if bool(FLAGS.workdir) == bool(FLAGS.images_a and FLAGS.images_b):
        raise app.UsageError("give --workdir, or both --images_a and --images_b")
    metrics = table.find([name.strip() for name in FLAGS.metrics if name.strip()])
    host_memory.keep_freed_on_cpu()
    if FLAGS.distributed or FLAGS.coordinator:
        parallel.initialize(
            FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id, HEARTBEAT_SECONDS
        )
    devices = parallel.data_parallel()
    live = LiveLine()
    asked = (of_workdir if FLAGS.workdir else of_folders)(metrics, devices)
    # Before networks are loaded, or even downloaded.
    evaluation.check(asked, FLAGS.attributes is not None)
    means = opening.means(
        metrics,
        devices,
        features=FLAGS.features,
        detector=FLAGS.detector,
        vgg16=FLAGS.vgg16,
        attributes=FLAGS.attributes,
        cache=FLAGS.cache or None,
        batch_size=FLAGS.batch_size,
        show_progress=live if devices.is_main else lambda *_: None,
        on_warning=lambda text: print(f"WARNING: {text}"),
    )
    try:
        results = evaluation.evaluate(asked, means)
    finally:
        live.clear()
    if not devices.is_main:
        return
    print(result.table(results))
    directory = paths.open_path(FLAGS.workdir or ".")
    out = FLAGS.out or directory / records.FILE
    records.append(out, results)
    if FLAGS.workdir and paths.scheme_of(FLAGS.workdir) is None:
        records.to_tensorboard(directory / "tensorboard", results)
    print(f"appended to {out}")


def of_workdir(metrics: dict[str, table.Metric], devices: Parallel) -> evaluation.Asked:
    """A generator against the data that it was trained on, or --data."""
    trained = workdir.load_generator(paths.open_path(FLAGS.workdir), FLAGS.step)
    reals = real_source(trained)
    weights = None
    if trained.classes and reals is not None:
        if reals.label_size != len(trained.classes):
            raise ValueError(
                f"{reals.name} has {reals.label_size} classes, {FLAGS.workdir} has "
                f"{len(trained.classes)}; give its own data with --data"
            )
        weights = class_weights(reals)
    subject = Subject(
        name=FLAGS.workdir,
        generator=trained.generator,
        variables=devices.replicate(jax.device_get(trained.variables)),
        resolution=trained.resolution,
        fade=trained.fade,
    )
    fit = FLAGS.fit if FLAGS.data is not None else trained.experiment.data.fit
    return evaluation.Asked(
        metrics=metrics,
        reals=None if reals is None else RealImages(reals, devices, FLAGS.seed, fit),
        generated=GeneratedImages(
            subject, devices, FLAGS.seed, weights, FLAGS.truncation_psi, FLAGS.noise
        ),
        images=FLAGS.images,
        seed=FLAGS.seed,
        checkpoint={
            "checkpoint": trained.checkpoint,
            "step": trained.step,
            "kimg": trained.checkpoint / 1000 if trained.step is not None else None,
        },
    )


def real_source(trained: workdir.Trained) -> Source | None:
    """The real images of a run; None of a conversion, unless --data says where."""
    if FLAGS.data is not None:
        height, width = trained.generator.base_size
        full = trained.generator.resolution
        size = height * full // 4, width * full // 4
        return plain.open_plain(FLAGS.data, size, FLAGS.fit)
    if trained.step is None:
        return None
    return sources.open_source(trained.experiment.data)


def of_folders(metrics: dict[str, table.Metric], devices: Parallel) -> evaluation.Asked:
    """Images b against images a, in the size of the smaller ones or in --size."""
    both = FLAGS.images_a, FLAGS.images_b
    if FLAGS.size is not None:
        size = parse_size(FLAGS.size)
    else:
        size = min(plain.first_size(path) for path in both)
    a, b = (
        RealImages(
            plain.open_plain(path, size, FLAGS.fit),
            devices,
            FLAGS.seed,
            FLAGS.fit,
        )
        for path in both
    )
    return evaluation.Asked(
        metrics=metrics,
        reals=a,
        generated=b,
        images=FLAGS.images,
        seed=FLAGS.seed,
        checkpoint={},
    )


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "64" or "64x96".

    Raises:
      ValueError: it is neither.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(
            f"`--size` (={text!r}) must be a side as 64, or height x width as 64x96"
        )
    return int(match[1]), int(match[2] or match[1])


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("workdir", None, "Directory of a run or of a conversion.")
    flags.DEFINE_string("images_a", None, "Folder, zip or prepared set: the reals.")
    flags.DEFINE_string("images_b", None, "Another, to be compared with them.")
    flags.DEFINE_list("metrics", ["swd", "msssim"], "Names; a wrong one lists all.")
    flags.DEFINE_integer(
        "images", None, "Generated images; default: the metric's own.", lower_bound=2
    )
    flags.DEFINE_enum("features", "inception", list(KINDS), "Network of features.")
    flags.DEFINE_string("detector", None, "Its weights; default: found or fetched.")
    flags.DEFINE_string("vgg16", None, "VGG16's weights, for LPIPS; likewise.")
    flags.DEFINE_string("attributes", None, "For ls: package.module:function.")
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
    flags.DEFINE_float("truncation_psi", 1.0, "1 is all variety, as papers have it.")
    flags.DEFINE_enum(
        "noise", "random", ["const", "random", "none"], "Per-pixel noise."
    )
    flags.DEFINE_integer("step", None, "Number of the checkpoint; default: the newest.")
    flags.DEFINE_string("data", None, "Other reals for --workdir: as --images_a.")
    flags.DEFINE_string(
        "size", None, "SIDE or HEIGHTxWIDTH that images are brought to."
    )
    flags.DEFINE_enum("fit", "exact", ["exact", "crop"], "How they are brought to it.")
    flags.DEFINE_integer("batch_size", 32, "Images at once.", lower_bound=2)
    flags.DEFINE_string("cache", opening.CACHE, "Of real statistics; empty: none.")
    flags.DEFINE_string("out", None, "File to append to; default: metrics.jsonl.")
    flags.DEFINE_bool("distributed", False, "One of several processes.")
    flags.DEFINE_string("coordinator", None, "host:port of process 0; default: found.")
    flags.DEFINE_integer("num_processes", None, "With --coordinator: how many.")
    flags.DEFINE_integer("process_id", None, "With --coordinator: which one this is.")


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
