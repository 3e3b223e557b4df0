r"""Measure a generator, or compare two sets of images.

python -m stylegan_jax.evaluate --workdir=runs/smileys --metrics=swd,msssim
python -m stylegan_jax.evaluate --images_a=cifar/train --images_b=cifar/test \
    --metrics=fid50k,kid,pr --detector=pt_inception-2015-12-05-6726825d.pth

Several processes share the work if all are started with the same flags and, as for
training, with --distributed on a cluster or --coordinator, --num_processes and
--process_id; the first one writes the results.
"""

from stylegan_jax.commands.evaluate import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from pathlib import Path

import jax
from absl import app, flags
from etils import epath

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.config import Evaluation
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import context, evaluation, registry, results, validation
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages, class_weights
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.metric import Metric
from stylegan_jax.metrics.results import MetricFailure, MetricResult
from stylegan_jax.networks import references, training_data
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import malloc, outputs, parallel, processes, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import parse_sides
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS
HEARTBEAT_SECONDS = 100


def main(argv: list[str]) -> None:
    """Evaluate the metrics; print and append each result once it is available."""
    del argv
    given = given_flags()
    problems = validation.flag_problems(given)
    if problems:
        raise ValueError("\n  ".join(["these flags are inconsistent:", *problems]))
    metrics = registry.find([name.strip() for name in FLAGS.metrics if name.strip()])
    validation.check_used(given, metrics)
    malloc.keep_freed_memory_on_cpu()
    if FLAGS.distributed or FLAGS.coordinator:
        processes.initialize(
            FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id, HEARTBEAT_SECONDS
        )
    reference = network_flags.reference(FLAGS)
    directory = run_directory(reference)
    out = (directory or storage.open_path(".")) / results.FILE
    if FLAGS.out:
        out = outputs.file(FLAGS.out, "--out", (".jsonl", ""))
    for name in ("detector", "vgg16", "efficientnet"):
        if FLAGS[name].value:
            outputs.check_input_file(Path(FLAGS[name].value).expanduser(), f"--{name}")
    devices = parallel.data_parallel()
    batch_size = FLAGS.batch_size or context.default_batch_size(devices)
    context.check_batch_size(devices, batch_size)
    _check_writable(out, devices)
    spec = (run_spec if reference else folders_spec)(metrics, devices)
    # Fail before any network is loaded or even downloaded.
    validation.check_requirements(spec, FLAGS.attributes is not None, FLAGS.features)
    live = ProgressBar()
    eval_context = context.open_context(
        metrics,
        devices,
        Evaluation(
            features=FLAGS.features,
            detector=FLAGS.detector,
            vgg16=FLAGS.vgg16,
            efficientnet=FLAGS.efficientnet,
            cache=FLAGS.cache or None,
            batch_size=batch_size,
        ),
        show_progress=live if devices.is_main else lambda *_: None,
        on_warning=lambda text: print(f"WARNING: {text}"),
        attributes=FLAGS.attributes,
    )
    devices.check_agreement(context.agreement_facts(spec, eval_context))

    table = results.ResultTable(registry.numbers(metrics))
    kept: list[MetricResult] = []
    failures: dict[str, str] = {}
    if devices.is_main:
        print(table.header, flush=True)
    try:
        for result in evaluation.evaluate(spec, eval_context):
            live.clear()
            if isinstance(result, MetricFailure):
                failures[result.metric] = result.reason
            elif devices.is_main:
                print(table.row(result), flush=True)
                if problem := _append(out, result):
                    failures[result.metric] = problem
                else:
                    kept.append(result)
    finally:
        live.clear()
        if kept and directory and storage.scheme_of(directory) is None:
            try:
                results.write_tensorboard(directory / "tensorboard", kept)
            except OSError as error:
                raise storage.naming(directory / "tensorboard", error) from error
    if kept:
        print(f"appended to {out}")
    if failures:
        reasons = results.group_failures(failures)
        raise ValueError(
            "\n  ".join(["these metrics could not be measured or saved:", *reasons])
        )
    processes.finish()


def given_flags() -> set[str]:
    """Return the names of the flags on the command line."""
    return {name for name in FLAGS if FLAGS[name].present}


def run_directory(reference: str | None) -> epath.Path | None:
    """Return the directory of a run or a conversion; None for other networks.

    Raises:
      ValueError: it is no such directory.
    """
    if not reference or references.is_single(reference):
        return None
    references.check_exists(reference)
    directory, _ = workdir.split(reference)
    workdir.check_is_run(directory)
    return directory


def _check_writable(out: epath.Path, devices: Parallel) -> None:
    """Raise ValueError on all processes if the first one cannot write to the file."""
    problem = None
    if devices.is_main:
        try:
            results.check_writable(out)
        except ValueError as error:
            problem = str(error)
    if devices.any_process(problem is not None)():
        raise ValueError(problem or f"process 0 cannot write to {out}")


def _append(out: epath.Path, result: MetricResult) -> str | None:
    """Append a result; return the reason if that fails, as others may succeed."""
    try:
        results.append(out, [result])
    except OSError as error:
        return f"{out} cannot be written ({error}); the numbers are above"
    return None


def run_spec(metrics: dict[str, Metric], devices: Parallel) -> EvalSpec:
    """Return the evaluation of a generator against its training data or --data."""
    reference = network_flags.reference(FLAGS)
    trained = references.open_network(reference, FLAGS.step)
    needs_data = registry.needs_real_images(metrics) or bool(trained.classes)
    source = real_source(trained) if needs_data or FLAGS.data is not None else None
    _print_notes(source, devices)
    weights = None
    if trained.classes and source is not None:
        has_names = trained.step is not None
        validation.check_classes(source, trained.classes, reference, has_names)
        weights = class_weights(source)
    elif trained.classes and devices.is_main:
        print(
            f"NOTE: {reference} has no data, so its {len(trained.classes)} classes "
            "are drawn uniformly; use --data to draw them as often as in a data set."
        )
    generated = GeneratedImages(
        name=reference,
        generator=trained.generator,
        variables=devices.replicate(jax.device_get(trained.variables)),
        lod=trained.lod,
        devices=devices,
        seed=FLAGS.seed,
        class_weights=weights,
        truncation_psi=FLAGS.truncation_psi,
        noise=FLAGS.noise,
    )
    fit = FLAGS.fit
    if FLAGS.data is None and trained.experiment is not None:
        fit = trained.experiment.data.fit
    return EvalSpec(
        metrics=metrics,
        reals=source
        and RealImages(source, devices, FLAGS.seed, fit, FLAGS.mirror_reals),
        generated=generated,
        images=FLAGS.images,
        seed=FLAGS.seed,
        checkpoint={
            "checkpoint": trained.checkpoint,
            "step": trained.step,
            "kimg": trained.checkpoint / 1000 if trained.step is not None else None,
        },
    )


def _print_notes(source: Source | None, devices: Parallel) -> None:
    """Print what there is to say about images, such as files that are left out."""
    if source is not None and devices.is_main:
        for note in source.notes:
            print(f"NOTE: {source.name}: {note}")


def real_source(trained: Network) -> Source | None:
    """Return --data, else the data of the run; None for a conversion without --data."""
    return training_data.open_real_images(trained, FLAGS.data, FLAGS.fit)


def folders_spec(metrics: dict[str, Metric], devices: Parallel) -> EvalSpec:
    """Return the evaluation of images b against images a, at the smaller size."""
    paths, names = (FLAGS.images_a, FLAGS.images_b), ("--images_a", "--images_b")
    if FLAGS.size is not None:
        size = parse_sides(FLAGS.size, "--size")
    else:
        size = min(map(from_path.first_image_size, paths, names))
    opened = [
        from_path.open_path(path, size, FLAGS.fit, name)
        for path, name in zip(paths, names, strict=True)
    ]
    for source in opened:
        _print_notes(source, devices)
    reals, generated = (
        RealImages(source, devices, FLAGS.seed, FLAGS.fit, mirror)
        for source, mirror in zip(opened, (FLAGS.mirror_reals, False), strict=True)
    )
    return EvalSpec(metrics, reals, generated, FLAGS.images, FLAGS.seed, checkpoint={})


if __name__ == "__main__":
    errors = reporting_errors(ValueError, CheckpointError, OSError)
    with processes.ending_together(), errors:
        app.run(main, flags_parser=lambda argv: arguments)
