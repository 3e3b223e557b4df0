"""Train the networks of an experiment, or resume an interrupted run.

    python -m stylegan_jax.train --config=configs/smileys.py --workdir=runs/smileys

Every setting can be overridden on the command line:
`--config.training.total_kimg=100`. The same command resumes an interrupted run.

Exit status: 0 if the run has finished; the value of `--stopped_status` (default 0) if a
signal or its time limit stopped it and it was saved; 2 if the same command would fail
again (a wrong setting, different data, divergence, a collapse that is to stop it); any
other status is a failure that may be temporary.
"""

from stylegan_jax.commands.train import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
import os
import shlex
from collections.abc import Iterator
from typing import Any

import jax
from absl import app, flags
from etils import epath

from stylegan_jax import config, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import Experiment
from stylegan_jax.data import cache, decoding, pipeline, sources
from stylegan_jax.data.cache import ImageCache
from stylegan_jax.data.interface import Source
from stylegan_jax.report import page
from stylegan_jax.runtime import (
    compilation_cache,
    malloc,
    outputs,
    parallel,
    processes,
)
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.logger import LOG, RunLogger, format_duration
from stylegan_jax.runtime.messages import sides
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.training import (
    compilation,
    loop,
    memory,
    schedule,
    setup,
    transfer,
)
from stylegan_jax.training.average_snapshots import SnapshotWriter
from stylegan_jax.training.compilation import ProgramCache
from stylegan_jax.training.evaluator import Evaluator
from stylegan_jax.training.guard import Collapsed, CollapseGuard, EvalResult
from stylegan_jax.training.overfitting import OverfittingLog
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.sample_grid import SampleGrid
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState

FLAGS = flags.FLAGS


def main(argv: list[str]) -> int:
    """Read the flags and train; return the exit status."""
    del argv
    e = config.parse(FLAGS.config)
    directory = run_directory(FLAGS.workdir)
    alone = not (FLAGS.distributed or FLAGS.coordinator)
    if alone and not (FLAGS.num_processes is None and FLAGS.process_id is None):
        raise ValueError(
            "--num_processes and --process_id have no effect without --coordinator; "
            "add it, or omit them"
        )
    malloc.keep_freed_memory_on_cpu()
    if FLAGS.distributed or FLAGS.coordinator:
        processes.initialize(
            FLAGS.coordinator,
            FLAGS.num_processes,
            FLAGS.process_id,
            e.run.heartbeat_seconds,
        )
    with processes.explaining_lost_processes(e.run.heartbeat_seconds):
        state = train(e, directory)
        end_images = schedule.build_stages(e)[-1].end_images
        is_done = int(state.images_seen) >= end_images
    processes.finish()
    return 0 if is_done else FLAGS.stopped_status


def run_directory(path: str) -> epath.Path:
    """Return the directory that `--workdir` names.

    Raises:
      ValueError: it cannot be the directory of a run.
    """
    directory, checkpoint = workdir.split(path)
    if checkpoint is not None:
        raise ValueError(
            f"`--workdir` (={path}) is a checkpoint, which stays as it is; to resume "
            f"its run, use --workdir={shlex.quote(str(directory))}; to start another "
            "run from its networks, choose another --workdir and add "
            f"--config.training.transfer={shlex.quote(path)}"
        )
    return outputs.new_directory(path, "--workdir")


def train(e: Experiment, directory: epath.Path) -> TrainState:
    """Run an experiment until it ends, or a signal or its time limit stops it.

    Args:
      e: the experiment.
      directory: directory of the run, on disk or in a bucket. A run of the same
        experiment is resumed.

    Returns:
      The last state.

    Raises:
      ValueError: if the experiment does not fit the data, the devices or the directory.
      training.loop.Diverged: if too many consecutive updates were not finite.
      Collapsed: if `training.on_collapse` ends the run.
      CheckpointError: if no checkpoint can be read, or the last cannot be written.
    """
    stop = StopRequest(e.run.time_limit_minutes)
    e, kept = workdir.keep_from_run(directory, e)
    data, choice = sources.resolve(e.data)
    e = dataclasses.replace(e, data=data)

    # Check that the devices, the data and the directory fit the experiment.
    devices = parallel.data_parallel(e.run.height_devices)
    for stage in schedule.build_stages(e):
        name = f"training.batch_size at {sides(stage.size)}"
        rounds = e.training.accumulation_rounds or 1
        devices.check_batch(name, stage.batch_size, rounds)
    source, held_out = sources.open_split(e.data)
    kept = [*filter(None, [choice]), *kept, *source.notes]
    info = workdir.DataInfo(
        source.name,
        source.num_images,
        source.classes,
        source.fingerprint,
        decoding.VERSION,
        source.label_vectors,
    )
    label_size = workdir.label_size(e, info)
    devices.check_agreement(workdir.facts(e, info))
    workdir.check_resumable(directory, e, info)
    notices = kept + workdir.decoder_notice(directory, info)
    compilation_cache.use(
        cache_directory(e.run.compilation_cache, directory, devices.process_count),
        "`run.compilation_cache`",
    )

    # Networks, phases, optimizers; checkpoints or networks to start from.
    training = setup.build(e, devices, label_size)
    checkpoints = workdir.open_checkpoints(
        directory,
        e.run.keep_checkpoints,
        lambda text: logger.line(text),
        e.evaluation.keep_best if e.evaluation.best is not None else 0,
    )
    guard = CollapseGuard(
        e.training.on_collapse,
        directory,
        checkpoints,
        devices,
    )
    newest = checkpoints.latest_step()
    workdir.check_shared(directory, newest, devices)
    transferred = None
    if newest is None and e.training.transfer is not None:
        transferred = transfer.plan(e.training.transfer, training.abstract_state)

    # Logs, programs, evaluation.
    if devices.is_main:
        workdir.write_description(directory, e, info)
    logger = RunLogger(directory, devices.is_main)
    images = image_cache(training, source)
    reserved = cache.image_bytes(source, source.resolution) / devices.batch_shards
    programs = ProgramCache(
        training,
        lambda stage, seconds: logger.event(
            "compiled", stage=stage.name, seconds=seconds
        ),
        memory.budget(
            e, devices, logger.line, reserved if images and images.on_devices else 0.0
        ),
        compilation.seconds_of_stages(directory / LOG),
    )
    for line in notices:
        logger.line(line)
    log_setup(logger, training, source)
    evaluator = None
    if e.evaluation.metrics:
        evaluator = Evaluator(training, source, logger, directory, newest or 0)

    # State: new, transferred or restored.
    if newest is None:
        state = training.create_state()
        progress = Progress(training.stages[0].resolution)
        if transferred is not None:
            state = transferred.load(state)
            state = devices.reshard(state, training.state_shardings)
            transferred.log(logger)
            transferred = None  # free the memory of its arrays
    else:
        state, progress = loop.restore(checkpoints, training)
        logger.line(f"resuming at {progress.images_seen / 1000:g} kimg")
        if guard.summary is not None:
            logger.line(guard.summary)
    logger.event("start", images_seen=progress.images_seen)

    # Start to compile the current stage while the first grids are drawn.
    stages_left = [s for s in training.stages if progress.images_seen < s.end_images]
    if stages_left and programs.prepare(stages_left[0]):
        logger.line(programs.announcement(stages_left[0]) or "")
    grid = SampleGrid(training, source, logger)
    if progress.images_seen == 0:
        logger.line("drawing the first samples, whose program is compiled, too")
        grid.draw_reals()
        grid.draw(state, progress)

    # The loop, and the report at its end.
    averages = SnapshotWriter(training, directory, logger, progress.images_seen)
    overfitting = None
    if held_out is not None:
        overfitting = OverfittingLog(training, source, held_out, logger)

    def on_tick(state: TrainState, progress: Progress) -> EvalResult | None:
        averages.write_if_due(state, progress)
        grid.log_contributions(state, progress)
        grid.draw_if_due(state, progress)
        return None if overfitting is None else overfitting.measure(state, progress)

    hooks = loop.Hooks(
        batches=lambda stage, start: batches(training, source, stage, start, images),
        on_tick=on_tick,
        evaluate=evaluator or (lambda *_: None),
        stage_cost=lambda resolution: schedule.stage_cost(
            training.generator, resolution
        ),
    )
    trainer = loop.Loop(
        training,
        programs=programs,
        hooks=hooks,
        checkpoints=checkpoints,
        guard=guard,
        logger=logger,
        stop=stop,
    )
    try:
        with stop.handling_signals():
            state = trainer.run(state, progress)
        is_done = progress.images_seen >= training.stages[-1].end_images
        if is_done and stages_left:
            grid.draw_last(state, progress)
            averages.write(state, progress)
        how = "finished" if is_done else f"stopped by {stop.reason}"
        logger.line(
            f"{how} at {progress.images_seen / 1000:g} kimg after "
            f"{format_duration(progress.training_seconds)} of training; saved in "
            f"{directory / 'checkpoints'}"
        )
        logger.wait_for_images()  # for the report
        if devices.is_main:
            with logger.warn_on_os_error(directory / page.FILE):
                logger.line(f"curves and images: {page.write(directory)}")
    finally:
        try:
            checkpoints.close()
        finally:
            logger.event("end", images_seen=progress.images_seen)
            logger.close()
    return state


def log_setup(logger: RunLogger, setup: Setup, source: Source) -> None:
    """Log the networks, the data, the devices and the labels of a run."""
    e, devices = setup.experiment, setup.parallel
    counts = {
        name: sum(x.size for x in jax.tree.leaves(params))
        for name, params in setup.abstract_state.params.items()
    }
    kind = jax.devices()[0].device_kind
    logger.line(
        f"{e.model.family}, {sides(setup.stages[-1].size)}, "
        + ", ".join(f"{name} {count:,} parameters" for name, count in counts.items())
    )
    logger.line(
        f"{source.num_images:,} images from {source.name}; {len(setup.stages)} "
        f"stage(s), {e.training.total_kimg:g} kimg, on {devices.num_devices} x {kind} "
        f"in {devices.process_count} process(es)"
    )
    if e.data.conditional:
        for line in source.label_histogram():
            logger.line(line)
        logger.event(
            "labels",
            names=source.classes,
            totals=source.label_totals,
            images=source.labels_counted or source.num_images,
        )


def image_cache(training: Setup, source: Source) -> ImageCache | None:
    """Return the cache of decoded images that `data.cache` asks for, if any."""
    e, devices = training.experiment, training.parallel
    where = cache.place(
        e.data.cache,
        cache.image_bytes(source, source.resolution),
        jax.default_backend(),
        devices.batch_shards,
        devices.device_memory(),
    )
    if where == "none":
        return None
    return ImageCache(source, devices, where, e.run.seed)


def batches(
    training: Setup,
    source: Source,
    stage: Stage,
    start_images: int,
    images: ImageCache | None,
) -> Iterator[tuple[Any, Any]]:
    """Return the batches of a stage, from `start_images` on.

    Each is this process's share as NumPy arrays, or a global batch on the devices.
    """
    e, devices = training.experiment, training.parallel
    common = {
        "resolution": stage.resolution,
        "batch_size": stage.batch_size,
        "start_images": start_images,
    }
    if images is not None:
        iterator = images.batches(**common)
    else:
        iterator = pipeline.batches(
            source,
            **common,
            seed=e.run.seed,
            process_index=devices.process_index,
            process_count=devices.process_count,
            prefetch_batches=e.data.prefetch_batches,
        )
    label_size = training.label_size
    return ((images, labels[:, :label_size]) for images, labels in iterator)


def cache_directory(
    setting: str | None, directory: epath.Path, process_count: int
) -> str | None:
    """Return the directory of compiled programs; None for none.

    JAX lets process 0 write it alone. In a home directory of its own, every other host
    would compile all programs again at each start.

    Args:
      setting: `run.compilation_cache`.
      directory: directory of the run, which all processes see.
      process_count: number of processes.
    """
    if setting is None:
        return None
    if process_count > 1 and setting == config.Run().compilation_cache:
        return os.fspath(directory / "compilation_cache")
    return setting


if __name__ == "__main__":
    errors = reporting_errors(
        CheckpointError,
        OSError,
        processes.ProcessLost,
        permanent=(ValueError, loop.Diverged, Collapsed),
    )
    with compilation.exit_without_waiting(), processes.ending_together(), errors:
        app.run(main, flags_parser=lambda argv: arguments)
