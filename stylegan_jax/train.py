"""Trains the networks of an experiment, or goes on where the run stopped.

    python -m stylegan_jax.train --config=configs/emoji.py --workdir=runs/emoji

Every setting can be changed on the command line:
`--config.training.total_kimg=100`. The same command resumes an interrupted run.

Exit status: 0 when the run has finished; that of `--stopped_status` (default 0) when a
signal or its time limit stopped it, and it was saved; 2 when the same command would
fail again (a wrong setting, other data, divergence); anything else is a failure that
may have passed.
"""

import os
from collections.abc import Iterator

import jax
import numpy as np
from absl import app, flags
from etils import epath
from ml_collections import config_flags

from stylegan_jax import config, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import Experiment
from stylegan_jax.data import pipeline, sources
from stylegan_jax.data.interface import Source
from stylegan_jax.report import page
from stylegan_jax.runtime import malloc, parallel, storage
from stylegan_jax.runtime.cli import parse_flags, reporting_errors
from stylegan_jax.runtime.logger import RunLogger, format_duration
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.training import (
    announcing,
    leaving,
    loop,
    memory,
    schedule,
    step,
    transfer,
)
from stylegan_jax.training import state as train_state
from stylegan_jax.training.compilation import ProgramCache
from stylegan_jax.training.evaluator import Evaluator
from stylegan_jax.training.phases import build_phases
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.sample_grid import Grid
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import TrainState

FLAGS = flags.FLAGS


def main(argv: list[str]) -> int:
    """Reads the flags and trains; returns the exit status."""
    if len(argv) > 1:
        raise ValueError(f"unexpected arguments {argv[1:]}; settings are flags")
    e = config.parse(FLAGS.config)
    malloc.keep_freed_on_cpu()
    if FLAGS.distributed or FLAGS.coordinator:
        parallel.initialize(
            FLAGS.coordinator,
            FLAGS.num_processes,
            FLAGS.process_id,
            e.run.heartbeat_seconds,
        )
    with parallel.explaining_lost_processes(e.run.heartbeat_seconds):
        state = train(e, storage.open_path(FLAGS.workdir))
        finished = int(state.images_seen) >= schedule.stages(e)[-1].end_images
    return 0 if finished else FLAGS.stopped_status


def train(e: Experiment, directory: epath.Path) -> TrainState:
    """Trains an experiment in a directory, to the end, a signal or its time limit.

    Args:
      e: the experiment.
      directory: where the run lives, on disk or in a bucket; a run of the same
        experiment is resumed.

    Returns:
      The last state.

    Raises:
      ValueError: the experiment does not fit the data, the devices or the directory.
      training.loop.Diverged: too many updates in a row were not finite.
      CheckpointError: no checkpoint can be read, or the last one not be written.
    """
    stop = StopRequest(e.run.time_limit_minutes)
    devices = parallel.data_parallel(e.run.height_devices)
    stages = schedule.stages(e)
    for stage in stages:
        name = "training.batch_size at {}x{}".format(*stage.size)
        rounds = e.training.accumulation_rounds or 1
        devices.check_batch(name, stage.batch_size, rounds)
    source = sources.open_source(e.data)
    info = workdir.DataInfo(
        source.name, source.num_images, source.classes, source.fingerprint
    )
    labels = workdir.label_size(e, info)
    devices.check_agreement(workdir.facts(e, info))
    workdir.check(directory, e, info)
    use_compilation_cache(e.run.compilation_cache)

    generator, discriminator = models.build(e.model, e.data, labels)
    phases = build_phases(e, generator, discriminator)
    optimizers = step.build_optimizers(e)

    def create() -> TrainState:
        names = [phase.name for phase in phases]
        return train_state.create(
            generator, discriminator, optimizers, names, e.run.seed
        )

    abstract = train_state.placed(
        jax.eval_shape(create), devices, e.run.shard_optimizer
    )
    placement = train_state.shardings(abstract)
    checkpoints = workdir.open_checkpoints(
        directory,
        e.run.keep_checkpoints,
        lambda text: logger.line(text),
        e.evaluation.keep_best if e.evaluation.best is not None else 0,
    )
    newest = checkpoints.latest_step()
    workdir.check_shared(directory, newest, devices)
    fresh = newest is None
    transferred = None
    if fresh and e.training.transfer is not None:
        transferred = transfer.plan(e.training.transfer, abstract)
    if devices.is_main:
        workdir.write(directory, e, info)
    logger = RunLogger(directory, devices.is_main)
    programs = ProgramCache(
        e,
        phases,
        devices,
        abstract,
        labels,
        lambda stage, seconds: logger.event(
            "compiled", stage=stage.name, seconds=seconds
        ),
        memory.budget(e, devices, logger.line),
    )
    announcing.describe(logger, e, source, abstract, devices, stages)
    evaluator = None
    if e.evaluation.metrics:
        evaluator = Evaluator(
            *(e, generator, source, devices, logger, directory),
            images_seen=newest or 0,
        )
    if fresh:
        state = jax.jit(create, out_shardings=placement)()
        progress = Progress(stages[0].resolution)
        if transferred is not None:
            state = devices.reshard(transferred.load(state), placement)
            announcing.report_transfer(logger, transferred)
            transferred = None  # its arrays take memory
    else:
        state, progress = loop.restore(checkpoints, abstract)
        logger.line(f"resuming at {progress.images_seen / 1000:g} kimg")
    logger.event("start", images_seen=progress.images_seen)
    ahead = [s for s in stages if progress.images_seen < s.end_images]
    if ahead:
        programs.prepare(ahead[0])
    grid = Grid(e, generator, source, labels, devices, logger)
    if progress.images_seen == 0:
        grid.draw_reals()
        grid.draw(state, progress)

    def evaluate(state: TrainState, progress: Progress) -> loop.Judgement | None:
        if evaluator is None:
            return None
        found = evaluator(
            devices.replicate_global(state.ema),
            progress.lod,
            *(progress.images_seen, progress.step),
        )
        return found and loop.Judgement(found.score, found.alarm)

    hooks = loop.Hooks(
        batches=lambda stage, start: batches(e, source, labels, devices, stage, start),
        on_tick=grid.draw,
        evaluate=evaluate,
        stage_cost=lambda resolution: schedule.stage_cost(generator, resolution),
    )
    trainer = loop.Loop(
        e,
        phases=phases,
        stages=stages,
        programs=programs,
        hooks=hooks,
        parallel=devices,
        checkpoints=checkpoints,
        logger=logger,
        stop=stop,
    )
    try:
        with stop.signals_heard():
            state = trainer.run(state, progress)
        left = progress.images_seen < stages[-1].end_images
        how = f"stopped by {stop.reason}" if left else "finished"
        logger.line(
            f"{how} at {progress.images_seen / 1000:g} kimg after "
            f"{format_duration(progress.training_seconds)} of training; saved in "
            f"{directory / 'checkpoints'}"
        )
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


def batches(
    e: Experiment,
    source: Source,
    label_size: int,
    devices: Parallel,
    stage: Stage,
    start_images: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """This process's batches of a stage from a position on."""
    iterator = pipeline.batches(
        source,
        resolution=stage.resolution,
        batch_size=stage.batch_size,
        start_images=start_images,
        seed=e.run.seed,
        process_index=devices.process_index,
        process_count=devices.process_count,
        prefetch_batches=e.data.prefetch_batches,
    )
    return ((images, labels[:, :label_size]) for images, labels in iterator)


def use_compilation_cache(directory: str | None) -> None:
    """Keeps compiled programs on disk, where a resumed run finds them."""
    if directory is None:
        return
    path = os.path.expanduser(directory)
    jax.config.update("jax_compilation_cache_dir", path)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def define_flags() -> None:
    """Declares the command line."""
    config_flags.DEFINE_config_file(
        "config", None, "The experiment, e.g. configs/emoji.py"
    )
    flags.DEFINE_string(
        "workdir", None, "Directory of the run, or gs://...; created, or resumed."
    )
    flags.DEFINE_bool(
        "distributed", False, "One of several processes (TPU pod, SLURM)."
    )
    flags.DEFINE_string(
        "coordinator", None, "host:port of process 0; default: found out."
    )
    flags.DEFINE_integer(
        "num_processes", None, "With --coordinator: how many there are."
    )
    flags.DEFINE_integer("process_id", None, "With --coordinator: which one this is.")
    flags.DEFINE_integer(
        "stopped_status",
        0,
        "Exit status of a run that a signal or its time limit stopped and that was "
        "saved; launch scripts give 75, to tell it from one that has finished.",
        lower_bound=0,
        upper_bound=127,
    )
    flags.mark_flags_as_required(["config", "workdir"])


if __name__ == "__main__":
    define_flags()
    errors = reporting_errors(
        CheckpointError,
        OSError,
        parallel.ProcessLost,
        permanent=(ValueError, loop.Diverged),
    )
    with leaving.exit_without_waiting(), errors:
        app.run(main, flags_parser=parse_flags)
