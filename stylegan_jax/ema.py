"""Choose the length of the generator's average after training.

python -m stylegan_jax.ema --workdir=runs/smileys --stds=0.05,0.1 --metric=swd \
    --out=best.safetensors
"""

from stylegan_jax.commands.ema import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
import math
from collections.abc import Iterator

import jax
from absl import app, flags
from etils import epath

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.metrics import context, evaluation, registry
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages, class_weights
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.metric import Metric
from stylegan_jax.metrics.results import MetricFailure
from stylegan_jax.networks import file, references, training_data
from stylegan_jax.networks.network import Network
from stylegan_jax.report import charts, page
from stylegan_jax.runtime import malloc, outputs, parallel, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import listed
from stylegan_jax.training import average_snapshots
from stylegan_jax.training.average_snapshots import Average

FLAGS = flags.FLAGS
SEED = 0


def main(argv: list[str]) -> None:
    """Reconstruct, measure and write averages."""
    del argv
    stds, metric = parse_stds(FLAGS.stds), find_metric(FLAGS.metric)
    if metric is None and len(stds) > 1:
        raise ValueError(
            f"--stds (={FLAGS.stds}) has {len(stds)} lengths; add --metric, which "
            "chooses one of them, or name one length, such as --stds=0.1"
        )
    if metric is None and FLAGS.images is not None:
        raise ValueError("--images has no effect without --metric; leave it out")
    out = outputs.file(FLAGS.out, "--out", (".safetensors",))
    directory, _ = workdir.split(FLAGS.workdir)
    workdir.check_is_run(directory)
    snapshots = average_snapshots.find(directory)
    newest = snapshots[-1].images_seen
    time = newest if FLAGS.kimg is None else round(FLAGS.kimg * 1000)
    malloc.keep_freed_memory_on_cpu()
    trained = references.open_network(str(directory))
    averages = average_snapshots.reconstruct(snapshots, stds, time)
    networks = {
        std: with_average(trained, average, time)
        for std, average in zip(stds, averages, strict=True)
    }
    std = stds[0]
    if metric is not None:
        values = dict(measured(metric, trained, networks))
        choose = max if metric.higher_is_better else min
        std = choose(values, key=values.get)
        plot(out.with_suffix(".html"), metric, values, time)
    out.parent.mkdir(parents=True, exist_ok=True)
    file.save(networks[std], out)
    print(f"wrote {out}, the average of relative standard deviation {std:g}")


def parse_stds(text: str) -> list[float]:
    """Parse a list of lengths such as "0.05,0.1".

    Raises:
      ValueError: the text is not a list of such numbers.
    """
    try:
        stds = [float(part) for part in text.split(",")]
    except ValueError:
        stds = []
    if not stds or not all(0 < std <= 0.25 for std in stds):
        raise ValueError(
            f"--stds (={text}) must be numbers above 0 and at most 0.25, separated by "
            "commas, such as 0.05,0.1"
        )
    return sorted(set(stds))


def find_metric(name: str | None) -> Metric | None:
    """Find a metric that has a single number; return None without a name.

    Raises:
      ValueError: there is no such metric.
    """
    if name is None:
        return None
    (metric,) = registry.find([name]).values()
    if len(metric.numbers) != 1:
        raise ValueError(
            f"--metric (={name}) has the numbers {listed(metric.numbers)}; a metric "
            "with one number is needed, such as swd"
        )
    return metric


def with_average(trained: Network, average: Average, time: int) -> Network:
    """Return a network with its averaged generator replaced by another average."""
    averaged = {"params": average.params, "stats": average.stats}
    variables = trained.variables | averaged
    return dataclasses.replace(
        trained,
        variables=jax.device_put(variables),
        lod=average.lod,
        checkpoint=time,
        step=None,
    )


def measured(
    metric: Metric, trained: Network, networks: dict[float, Network]
) -> Iterator[tuple[float, float]]:
    """Measure networks against the training data of the run.

    Yields:
      The length of each, and its value of the metric.

    Raises:
      ValueError: it cannot be measured.
    """
    devices = parallel.data_parallel()
    metrics = {metric.name: metric}
    source = training_data.open_real_images(trained, None, "exact")
    settings = dataclasses.replace(
        trained.experiment.evaluation, batch_size=context.default_batch_size(devices)
    )
    opened = context.open_context(
        metrics, devices, settings, lambda *_: None, lambda text: print(text)
    )
    fit = trained.experiment.data.fit
    reals = RealImages(source, devices, SEED, fit)
    for std, network in networks.items():
        generated = GeneratedImages(
            name=f"average {std:g}",
            generator=network.generator,
            variables=devices.replicate(jax.device_get(network.variables)),
            lod=network.lod,
            devices=devices,
            seed=SEED,
            class_weights=class_weights(source) if network.classes else None,
        )
        spec = EvalSpec(metrics, reals, generated, FLAGS.images, SEED, checkpoint={})
        (result,) = evaluation.evaluate(spec, opened)
        if isinstance(result, MetricFailure):
            raise ValueError(f"{metric.name} cannot be measured: {result.reason}")
        if not math.isfinite(result.value):
            raise ValueError(f"{metric.name} of std {std:g} is {result.value}")
        print(f"std {std:<6g} {result.name} {result.value:.5g}", flush=True)
        yield std, result.value


def plot(
    path: epath.Path, metric: Metric, values: dict[float, float], time: int
) -> None:
    """Write a page with the metric against the length."""
    title = f"{metric.name} at {time / 1000:g} kimg"
    line = charts.Series(metric.name, sorted(values.items()))
    chart = charts.chart(title, [line], unit="relative standard deviation")
    text = page.document(title, chart)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(path, text.encode())
    print(f"wrote {path}")


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
