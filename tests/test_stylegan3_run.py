"""A training run of StyleGAN3: interrupted and resumed, and what its network can do."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

import stylegan_jax
from stylegan_jax import generate, interpolate, mix, train
from stylegan_jax.networks import file
from stylegan_jax.training import transfer
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]
EXPERIMENT = tiny.experiment(tiny.STYLEGAN3)
LAYERS = tiny.STYLEGAN3["model.num_layers"] + 1


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a finished run, and the batches that it consumed."""
    directory = tmp_path_factory.mktemp("run") / "whole"
    with tiny.recorded_batches() as consumed:
        train.train(EXPERIMENT, directory)
    return directory, consumed


def test_resumed_run_equals_an_uninterrupted_one(run, tmp_path):
    whole, uninterrupted = run
    end = tiny.restored(whole)
    magnitudes = [k for k in end if k.startswith("training/magnitudes/")]
    assert len(magnitudes) == LAYERS
    for name in magnitudes:  # moved away from their start, and copied to the average
        assert end[name] > 0 and end[name] != 1
        copy = end[name.replace("training/magnitudes", "ema/stats")]
        np.testing.assert_array_equal(copy, end[name])
    resumed = tiny.copy_up_to(whole, 32, tmp_path / "resumed")
    with tiny.recorded_batches() as consumed:
        train.train(EXPERIMENT, resumed)
    assert consumed == {k: v for k, v in uninterrupted.items() if int(k) >= 32}
    tiny.assert_same(tiny.restored(resumed), end)


def test_transfer_loads_everything(run):
    """A run of the same networks starts from all arrays, magnitudes and constants."""
    directory, _ = run
    training = train.setup.build(EXPERIMENT, train.parallel.local(), 0)
    plan = transfer.plan(str(directory), training.abstract_state)
    assert {row.outcome for row in plan.rows} == {transfer.LOADED}
    state = plan.load(training.create_state())
    end = tiny.restored(directory)
    for name in ("magnitudes/layers_0/magnitude", "w_avg"):
        value = state
        for part in name.split("/"):
            value = (
                getattr(value, part) if part in ("magnitudes", "w_avg") else value[part]
            )
        np.testing.assert_array_equal(value, end[f"training/{name}"])
    np.testing.assert_array_equal(
        state.ema["constants"]["input"]["phases"], end["ema/constants/input/phases"]
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_generate_moves_images(run, run_main, tmp_path):
    directory, _ = run
    g = stylegan_jax.load(directory)
    arguments = (f"--network={directory}", "--seeds=1,2")
    run_main(generate, *arguments, f"--out={tmp_path / 'still'}")
    still = g(seeds=[1, 2], truncation_psi=0.7)
    run_main(
        *(generate, *arguments, f"--out={tmp_path / 'moved'}"),
        *("--translate=0.25,-0.5", "--rotate=30"),
    )
    constants = jax.device_get(g.variables["constants"]["input"])
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    matrix = np.array([[cos, sin, 0.25], [-sin, cos, -0.5], [0, 0, 1]])
    constants |= {"transform": np.linalg.inv(matrix).astype(np.float32)}
    variables = {**g.variables, "constants": {"input": constants}}
    ws = g.map(g.z([1, 2]), truncation_psi=0.7)
    moved = jax.jit(lambda v, ws: g.module.apply(v, ws, method="synthesize"))(
        variables, ws
    )
    for i, seed in enumerate((1, 2)):
        name = f"seed{seed:04d}.png"
        np.testing.assert_array_equal(pixels(tmp_path / "still" / name), still[i])
        shown = pixels(tmp_path / "moved" / name).astype(float)
        wanted = np.clip(np.asarray(moved[i]) * 127.5 + 128, 0, 255)
        assert np.abs(shown - wanted).max() <= 1.01
        assert np.abs(shown - still[i]).max() > 3


def test_interpolate_moves_frames(run, run_main, tmp_path):
    """A single keyframe: the first frame is still, and the motion ends at the last."""
    directory, _ = run
    out = tmp_path / "walk.webp"
    arguments = (f"--network={directory}", "--seeds=1", "--loop=open", "--frames=2")
    run_main(interpolate, *arguments, f"--out={out}", "--translate=0.5,0")
    for x in (0.25, 0.5):
        to = f"--out={tmp_path / str(x)}"
        run_main(generate, arguments[0], "--seeds=1", to, f"--translate={x},0")
    with Image.open(out) as video:
        assert video.n_frames == 3
        frames = []
        for i in range(3):
            video.seek(i)
            frames.append(np.asarray(video.convert("RGB")).astype(int))
    for frame, x in zip(frames[1:], (0.25, 0.5), strict=True):
        still = pixels(tmp_path / str(x) / "seed0001.png").astype(int)
        assert np.abs(frame - still).max() <= 1
    assert np.abs(frames[1] - frames[0]).max() > 3


def test_anchored_images_keep_their_view(run, run_main, tmp_path):
    """Each image has the transform of the average w, whatever its own is."""
    g = stylegan_jax.load(run[0])
    rng = np.random.default_rng(0)
    affine = {
        "kernel": {"weight": rng.normal(size=(8, 4)).astype(np.float32)},
        "bias": {"bias": np.array([1, 0.2, 0.1, -0.3], np.float32)},
    }
    features = g.variables["params"]["input"] | {"affine": affine}
    params = g.variables["params"] | {"input": features}
    drifting = dataclasses.replace(g, variables={**g.variables, "params": params})
    path = tmp_path / "drifting.safetensors"
    file.save(drifting, path)
    arguments = (f"--network={path}", "--seeds=1,2", "--truncation_psi=1")
    run_main(generate, *arguments, "--anchor", f"--out={tmp_path / 'anchored'}")
    # What the network draws if only style 0 is the average.
    ws = np.array(drifting.map(drifting.z([1, 2])))
    free = drifting.synthesize(ws)
    ws[:, 0] = np.asarray(g.variables["stats"]["w_avg"])
    wanted = drifting.synthesize(ws)
    for i, seed in enumerate((1, 2)):
        shown = pixels(tmp_path / "anchored" / f"seed{seed:04d}.png").astype(int)
        assert np.abs(shown - wanted[i]).max() <= 1
        assert np.abs(shown - free[i]).max() > 3
    out = tmp_path / "walk.webp"
    run_main(
        *(interpolate, *arguments, "--anchor", "--loop=open", "--frames=1"),
        f"--out={out}",
    )
    with Image.open(out) as video:
        for i in range(2):
            video.seek(i)
            frame = np.asarray(video.convert("RGB")).astype(int)
            assert np.abs(frame - wanted[i]).max() <= 1


@pytest.mark.parametrize(
    ("value", "message"),
    [("1", "must be X,Y"), ("a,b", "must be X,Y"), ("nan,0", "must be X,Y")],
)
def test_translations_that_are_none(run, run_main, tmp_path, value, message):
    out = f"--out={tmp_path / 'out'}"
    with pytest.raises(ValueError, match=message):
        run_main(generate, f"--network={run[0]}", out, f"--translate={value}")


def test_other_networks_do_not_move(run_main, tmp_path):
    out = f"--out={tmp_path / 'out'}"
    with pytest.raises(ValueError, match="only StyleGAN3 networks can translate"):
        run_main(generate, "--network=smileys64", out, "--rotate=10")
    with pytest.raises(ValueError, match="only StyleGAN3 networks can translate"):
        run_main(generate, "--network=smileys64", out, "--anchor")


def test_mix_chosen_layers(run, run_main, tmp_path):
    out = tmp_path / "mixing.png"
    run_main(
        *(mix, f"--network={run[0]}", f"--out={out}", "--layers=0-1"),
        *("--column_seeds=1,2", "--row_seeds=3"),
    )
    assert pixels(out).ndim == 3
