r"""Takes metrics of a generator, or of two sets of images.

python -m stylegan_jax.evaluate --workdir=runs/emoji --metrics=swd,msssim
python -m stylegan_jax.evaluate --images_a=cifar/train --images_b=cifar/test \
    --metrics=fid50k,kid,pr --detector=pt_inception-2015-12-05-6726825d.pth

Several processes share the work if all are started with the same flags and, as those of
training, with --distributed on a cluster or --coordinator, --num_processes and
--process_id; the first one writes.
"""

import re

import jax
from absl import app, flags
from etils import epath

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.data import sources
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import (
    command_line,
    evaluation,
    opening,
    records,
    request,
    requirements,
    result,
    table,
)
from stylegan_jax.metrics.generated_images import (
    GeneratedImages,
    Subject,
    class_weights,
)
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.runtime import malloc, parallel, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS
HEARTBEAT_SECONDS = 100


def main(argv: list[str]) -> None:
    """Takes the metrics; tells each, and appends it to `metrics.jsonl`, as it comes."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    problems = command_line.contradictions(command_line.given())
    if problems:
        raise app.UsageError("\n  ".join(["the flags do not fit:", *problems]))
    metrics = table.find([name.strip() for name in FLAGS.metrics if name.strip()])
    malloc.keep_freed_memory_on_cpu()
    if FLAGS.distributed or FLAGS.coordinator:
        parallel.initialize(
            FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id, HEARTBEAT_SECONDS
        )
    devices = parallel.data_parallel()
    directory = storage.open_path(FLAGS.workdir or ".")
    out = storage.open_path(FLAGS.out) if FLAGS.out else directory / records.FILE
    _check_writable(out, devices)
    live = ProgressBar()
    asked = (of_workdir if FLAGS.workdir else of_folders)(metrics, devices)
    # Before networks are loaded, or even downloaded.
    requirements.check(asked, FLAGS.attributes is not None, FLAGS.features)
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
    devices.check_agreement(request.facts(asked, means))
    lines = result.Table(table.numbers(metrics))
    results: list[result.Result] = []
    failures: dict[str, str] = {}
    if devices.is_main:
        print(lines.head, flush=True)
    try:
        for taken in evaluation.evaluate(asked, means):
            live.clear()
            if taken.failure is not None:
                failures[taken.metric] = taken.failure
            if devices.is_main:
                for found in taken.results:
                    print(lines.row(found), flush=True)
                if problem := _append(out, taken.results):
                    failures[taken.metric] = problem
                else:
                    results += taken.results
    finally:
        live.clear()
        if results and FLAGS.workdir and storage.scheme_of(FLAGS.workdir) is None:
            records.to_tensorboard(directory / "tensorboard", results)
    if results:
        print(f"appended to {out}")
    if failures:
        told = result.failures_told(failures)
        told = ["these metrics could not be taken, or kept:", *told]
        raise ValueError("\n  ".join(told))


def _check_writable(out: epath.Path, devices: Parallel) -> None:
    """Raises ValueError on all processes if the first one can't write there."""
    problem = None
    if devices.is_main:
        try:
            records.check_writable(out)
        except ValueError as error:
            problem = str(error)
    if devices.any_process(problem is not None)():
        raise ValueError(problem or f"process 0 can't write to {out}")


def _append(out: epath.Path, results: list[result.Result]) -> str | None:
    """Why results could not be written; the others may still be."""
    try:
        records.append(out, results)
    except OSError as error:
        return f"{out} can't be written ({error}); the numbers are above"
    return None


def of_workdir(metrics: dict[str, table.Metric], devices: Parallel) -> request.Asked:
    """A generator against the data that it was trained on, or --data."""
    trained = workdir.load_generator(storage.open_path(FLAGS.workdir), FLAGS.step)
    needs_data = table.takes_reals(metrics) or bool(trained.classes)
    reals = real_source(trained) if needs_data or FLAGS.data is not None else None
    weights = None
    if trained.classes and reals is not None:
        _check_classes(reals, trained)
        weights = class_weights(reals)
    elif trained.classes and devices.is_main:
        print(
            f"NOTE: {FLAGS.workdir} has no data, so its {len(trained.classes)} classes "
            "are drawn uniformly; --data gives them the shares of a data set"
        )
    subject = Subject(
        name=FLAGS.workdir,
        generator=trained.generator,
        variables=devices.replicate(jax.device_get(trained.variables)),
        lod=trained.lod,
    )
    fit = FLAGS.fit if FLAGS.data is not None else trained.experiment.data.fit
    return request.Asked(
        metrics=metrics,
        reals=None
        if reals is None
        else RealImages(reals, devices, FLAGS.seed, fit, FLAGS.mirror_reals),
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


def _check_classes(reals: Source, trained: workdir.TrainedGenerator) -> None:
    """Raises ValueError if the classes of other reals are not those of the network.

    A conversion knows how many it has, but not their names.
    """
    ours, theirs = trained.classes, reals.classes
    if len(ours) == len(theirs) and (trained.step is None or ours == theirs):
        return
    first = next(
        (
            f": number {i} is {a!r} and {b!r}"
            for i, (a, b) in enumerate(zip(theirs, ours, strict=False))
            if trained.step is not None and a != b
        ),
        "",
    )
    raise ValueError(
        f"{reals.name} has {len(theirs)} classes, {FLAGS.workdir} has {len(ours)}, and "
        f"they must be the same{first}; give its own data with --data"
    )


def real_source(trained: workdir.TrainedGenerator) -> Source | None:
    """The real images of a run; None of a conversion, unless --data says where."""
    if FLAGS.data is not None:
        height, width = trained.generator.base_size
        full = trained.generator.resolution
        size = height * full // 4, width * full // 4
        return from_path.open_path(FLAGS.data, size, FLAGS.fit)
    if trained.step is None:
        return None
    return sources.open_source(trained.experiment.data)


def of_folders(metrics: dict[str, table.Metric], devices: Parallel) -> request.Asked:
    """Images b against images a, in the size of the smaller ones or in --size."""
    both = FLAGS.images_a, FLAGS.images_b
    if FLAGS.size is not None:
        size = parse_size(FLAGS.size)
    else:
        size = min(from_path.first_image_size(path) for path in both)
    a, b = (
        RealImages(
            from_path.open_path(path, size, FLAGS.fit),
            devices,
            FLAGS.seed,
            FLAGS.fit,
            mirror,
        )
        for path, mirror in zip(both, (FLAGS.mirror_reals, False), strict=True)
    )
    return request.Asked(
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


if __name__ == "__main__":
    command_line.define()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
