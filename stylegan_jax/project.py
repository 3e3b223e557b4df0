"""Find the latents of images.

python -m stylegan_jax.project --network=smileys64 --targets=photos --out=projected
"""

from stylegan_jax.commands.project import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.inversion import alignment, distances, results, state_file, targets
from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.inversion.projection import (
    Projection,
    Projector,
    Session,
    Settings,
)
from stylegan_jax.inversion.projector import FIT
from stylegan_jax.networks.digest import digest
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import listed, sides
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.sampling import seeds, video

FLAGS = flags.FLAGS
STATE = "unfinished.safetensors"  # file in --out until all targets are done
SAVE_SECONDS = 30  # interval at which it is written


def main(argv: list[str]) -> None:
    """Project the targets, or resume an interrupted projection."""
    del argv
    out = storage.local_path(FLAGS.out, "--out")
    outputs.new_directory(FLAGS.out, "--out")
    if FLAGS.video != "none":
        video.check_installed(out / f"path.{FLAGS.video}")
    settings = settings_of_flags()
    boxes = None
    if FLAGS.boxes is not None:
        boxes = targets.read_boxes(outputs.input_file(FLAGS.boxes, "--boxes"))
    landmarks = None
    if FLAGS.landmarks is not None:
        file = outputs.input_file(FLAGS.landmarks, "--landmarks")
        landmarks = alignment.read_landmarks(file)
    encoder = encoder_of_flags()
    network = open_for_program(FLAGS)
    label = None
    if FLAGS.fit_class:
        if (FLAGS["class"].value, FLAGS.label) != (None, None):
            raise ValueError("--fit_class takes the place of --class and --label")
        label = [FIT]
    else:
        label = seeds.labels(FLAGS["class"].value, FLAGS.label, network.classes, 1)
    projector = Projector(
        network,
        settings,
        distances.load(FLAGS.distance, FLAGS.vgg16, FLAGS.efficientnet),
        label=None if label is None else label[0],
        resolution=FLAGS.resolution,
        batch_size=FLAGS.batch_size,
        encoder=encoder,
    )
    found = targets.load(
        FLAGS.targets,
        projector.size,
        projector.channels,
        crop=FLAGS.crop,
        boxes=boxes,
        landmarks=landmarks,
        setting="--targets",
    )
    record = FLAGS.video != "none"
    if record:
        height, width = projector.size
        video.check_format(out / f"path.{FLAGS.video}", (height, 2 * width), 30)
    session = Session(projector, found.images, record_path=record)
    about = state_file.fingerprint(projector, found.images, found.names, record)
    state = out / STATE
    if state.exists():
        state_file.load(state, session, about)
        print(f"continuing after {session.steps_done} of {session.steps} steps")
    out.mkdir(parents=True, exist_ok=True)
    run(session, found, out, about)
    finish(found.names, out)
    state.unlink(missing_ok=True)
    print(
        f"wrote {len(found.names)} projections of {sides(projector.size)} (width x "
        f"height) and grid.png to {out}"
    )


def encoder_of_flags() -> encoders.Encoder | None:
    """Load the encoder of --encoder; return None without this flag.

    Raises:
      ValueError: --encoder and --start do not belong together, or the file cannot be
        used.
    """
    if (FLAGS.start == "encoder") != (FLAGS.encoder is not None):
        raise ValueError(
            "--start=encoder and --encoder=FILE belong together, and only one is "
            "given; `python -m stylegan_jax.encoder` trains an encoder"
        )
    return encoders.of_flag(FLAGS.encoder)


def settings_of_flags() -> Settings:
    """Return the settings that the flags describe."""
    given = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(Settings)
        if field.name in FLAGS and FLAGS[field.name].value is not None
    }
    return Settings(**given)


def run(session: Session, found: targets.Targets, out: Path, about: dict) -> None:
    """Project the targets; write each result when it is done, and the state meanwhile.

    Raises:
      KeyboardInterrupt: a signal has stopped the program, and the state is written.
    """
    projector, state = session.projector, out / STATE
    described = {
        "network": projector.network.exact_reference,
        "network_digest": digest(projector.network.variables),
        "distance_name": projector.distance.name,
        "settings": dataclasses.asdict(projector.settings),
        "label": about["label"],
    }
    classes = None
    if FLAGS.fit_class:
        rows = projector.rows(len(found.images))
        classes = projector.fitted_classes(found.images, rows)
    stop, saved = StopRequest(), time.monotonic()
    with ProgressBar("steps") as progress, stop.handling_signals():
        progress("steps, compiling", session.steps_done, session.steps)
        while not session.finished:
            for i, projection in session.advance().items():
                target, folder = found.images[i], out / found.names[i]
                if FLAGS.video != "none":
                    frames = session.frames(target, projection)
                    folder.mkdir(parents=True, exist_ok=True)
                    results.write_video(folder / f"path.{FLAGS.video}", target, frames)
                fit = {"fit": found.fits[i]}
                if classes is not None:
                    fit["fitted_class"] = projector.network.classes[classes[i]]
                results.write(folder, target, projection, {**described, **fit})
                progress.clear()
                print(
                    f"{found.names[i]}: {projector.distance.name} "
                    f"{projection.distance:.4f} (at the start "
                    f"{projection.start_distance:.4f}), rms {projection.rms:.4f}, "
                    f"{projection.steps} steps{moved(projection)}"
                )
            progress(session.activity, session.steps_done, session.steps)
            if stop.requested and not session.finished:
                state_file.save(state, session, about)
                progress.clear()
                print(
                    f"stopped by {stop.reason} after {session.steps_done} of "
                    f"{session.steps} steps; the same command continues"
                )
                raise KeyboardInterrupt
            if time.monotonic() - saved > SAVE_SECONDS:
                state_file.save(state, session, about)
                saved = time.monotonic()


def moved(projection: Projection) -> str:
    """Return the fitted transform as text for the line of a result, else ""."""
    if projection.view is None:
        return ""
    x, y, degrees = projection.view
    return f", --translate={x:.4f},{y:.4f} --rotate={degrees:.2f}"


def finish(names: tuple[str, ...], out: Path) -> None:
    """Write the grid of all targets, and their latents in one file."""
    stored = {each.name: each for each in results.read(out, names)}
    missing = sorted(set(names) - stored.keys())
    if missing:
        raise ValueError(
            f"the results of {listed(missing)} have been removed from {out}; delete "
            f"{out / STATE}, too, to begin again"
        )
    ordered = [stored[name] for name in names]
    columns = (
        (each.target, each.projection, results.difference(each.target, each.projection))
        for each in ordered
    )
    results.write_grid(out / "grid.png", columns)
    ws = np.stack([each.ws for each in ordered])
    results.write_latents(out / results.LATENTS, ws, {})


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
