"""Step time of StyleGAN3, or of an augmented training, relative to StyleGAN2's.

    python -m benchmarks.step_ratios --resolution=64 --channel_base=4096
    python -m benchmarks.step_ratios --augment=b,bg,bgc --setting=M

The first command compares StyleGAN3-T and -R with a StyleGAN2 of the same channels; the
second one compares policies of augmentation, at a constant probability of 0.5, with a
training without them, at a setting of `benchmarks/settings.py`.

All take their steps in turn, so that other load of the machine slows all of them;
`--processor_time` excludes it. A step is that of the official recipe: each phase
weighted by its interval, with the path length regularization of StyleGAN2. The ratio of
useful operations (see `benchmarks.flops`) is printed without and with the operations of
StyleGAN3's filters, of which a training step applies each three times: in the images of
either network's loss, and in the gradient. Augmentations count no operations.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import jax
from absl import app, flags

from benchmarks import flops, settings
from benchmarks.train_step import Training, compilation_cache, prepare
from stylegan_jax import config, presets
from stylegan_jax.config import Experiment
from stylegan_jax.runtime import malloc
from stylegan_jax.training import schedule
from stylegan_jax.training.schedule import Stage

FLAGS = flags.FLAGS
NETWORKS = ("stylegan2", "t", "r")
FILTERED = 3  # passes of the filters in a step


def experiment(
    name: str, resolution: int, channel_base: int, channel_max: int, batch: int
) -> Experiment:
    """Return the experiment of one of NETWORKS, in float32."""
    if name == "stylegan2":
        c = presets.auto(resolution)
    else:
        c = presets.stylegan3(name, resolution, batch_size=batch)
        c.model.d_channel_base, c.model.d_channel_max = channel_base, channel_max
    c.model.channel_base, c.model.channel_max = channel_base, channel_max
    c.model.dtype, c.model.mapping_layers = "float32", 2
    c.training.batch_size, c.training.accumulation_rounds = batch, 1
    return config.parse(c)


def augmented(policy: str, setting: str) -> Experiment:
    """Return the experiment of a setting with a policy of augmentation; "" for none."""
    c = settings.get_config(setting)
    c.training.accumulation_rounds = 1
    if policy:
        c.training.augment, c.training.augment_probability = policy, 0.5
    return config.parse(c)


@dataclasses.dataclass
class Steps:
    """The compiled phases of a training, and their measurements.

    Attributes:
      training: the training.
      compiled: program and interval of each phase.
      useful: useful operations of a step.
      filters: operations of the filters of a step.
      memory: largest temporary memory of a phase, in bytes.
      seconds: measured durations of a step.
    """

    training: Training
    compiled: list[tuple[jax.stages.Compiled, int]]
    useful: float
    filters: float
    memory: int
    seconds: list[float] = dataclasses.field(default_factory=list)

    def measure(self, clock: Callable[[], float]) -> None:
        """Run every phase once, and record the time of a step."""
        seconds = 0.0
        for program, interval in self.compiled:
            start = clock()
            self.training.seconds(program, 1)
            seconds += (clock() - start) / interval
        self.seconds.append(seconds)


def operations(e: Experiment, stage: Stage, training: Training) -> tuple[float, float]:
    """Return the useful operations of a step, and those of its filters."""
    networks = training.setup.generator, training.setup.discriminator
    counts = flops.per_phase(e, stage, *flops.per_image(*networks, stage.resolution))
    useful = sum(counts[p.name] / p.interval for p in training.setup.phases)
    if e.model.family != "stylegan3":
        return useful, 0.0
    filters = flops.filters_per_image(training.setup.generator)
    return useful, FILTERED * stage.batch_size * filters


def build(e: Experiment) -> Steps:
    """Compile the phases of an experiment."""
    stage = schedule.build_stages(e)[-1]
    training = prepare(e, stage, 0)
    compiled = [
        (training.programs.lower(stage, i).compile(), phase.interval)
        for i, phase in enumerate(training.setup.phases)
    ]
    memory = max(p.memory_analysis().temp_size_in_bytes for p, _ in compiled)
    return Steps(training, compiled, *operations(e, stage, training), memory)


def table(found: dict[str, Steps]) -> str:
    """Return the figures as a table; all ratios are relative to the first network."""
    first = next(iter(found.values()))
    rows = [
        "network    s/step    ratio  (range)        useful  with filters  temporary MiB"
    ]
    for name, steps in found.items():
        ratios = [a / b for a, b in zip(steps.seconds, first.seconds, strict=True)]
        with_filters = (steps.useful + steps.filters) / first.useful
        rows.append(
            f"{name:9s} {statistics.median(steps.seconds):7.2f}"
            f" {statistics.median(ratios):8.2f}  ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) {steps.useful / first.useful:7.2f} "
            f"{with_filters:13.2f} {steps.memory / 2**20:14.0f}"
        )
    return "\n".join(rows)


def main(argv: Sequence[str]) -> None:
    """Measure the steps in turn and print the table."""
    del argv
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.train` does
    with compilation_cache(FLAGS.cache):
        if FLAGS.augment:
            experiments = {
                name or "none": augmented(name, FLAGS.setting)
                for name in ("", *FLAGS.augment)
            }
        else:
            sizes = FLAGS.resolution, FLAGS.channel_base, FLAGS.channel_max, FLAGS.batch
            experiments = {name: experiment(name, *sizes) for name in NETWORKS}
        found = {name: build(e) for name, e in experiments.items()}
    clock = time.process_time if FLAGS.processor_time else time.perf_counter
    for steps in found.values():
        steps.measure(clock)  # the first run is not counted
        steps.seconds.clear()
    for _ in range(FLAGS.rounds):
        for steps in found.values():
            steps.measure(clock)
    print(table(found))


if __name__ == "__main__":
    flags.DEFINE_list(
        "augment", [], "Policies of augmentation to compare, instead of networks."
    )
    flags.DEFINE_string("setting", "M", "Setting of --augment, S or M.")
    flags.DEFINE_integer("resolution", 64, "Resolution of the images.")
    flags.DEFINE_integer("channel_base", 4096, "`model.channel_base` of all networks.")
    flags.DEFINE_integer(
        "channel_max", 128, "Maximum number of channels of all networks."
    )
    flags.DEFINE_integer("batch", 4, "Images of a step.")
    flags.DEFINE_integer("rounds", 3, "Steps of each network, in turn.")
    flags.DEFINE_bool(
        "processor_time",
        False,
        "Measure the time of all processor cores instead of the elapsed time, which "
        "depends on other programs.",
    )
    flags.DEFINE_string(
        "cache", None, "Directory of compiled programs [default: a temporary one]."
    )
    app.run(main)
