"""`project`, `encoder` and `tune` as programs: files, interruptions, wrong input."""

import dataclasses
import json
import re
import signal

import numpy as np
import pytest
from PIL import Image

import stylegan_jax
from stylegan_jax import encoder, project, tune
from stylegan_jax.inversion import distances, projection, results, tuning
from stylegan_jax.inversion.w_statistics import w_statistics
from stylegan_jax.metrics.networks import lpips
from stylegan_jax.networks import file
from stylegan_jax.weights import safetensors
from tests.metrics.networks import recipe
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
STEPS = ("--steps=30", "--distance=multiscale", "--batch_size=2")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a conditional network in a file, and three of its images in a folder."""
    folder = tmp_path_factory.mktemp("network")
    g = small.network("stylegan2", classes=("a", "b"))
    file.save(g, folder / "small.safetensors")
    (folder / "images").mkdir()
    for i, image in enumerate(g(seeds=[50, 51, 52], label="b")):
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
    return folder


@pytest.fixture
def run(run_main, saved, tmp_path):
    """Project to `tmp_path / out`; return what the command prints."""

    def run(*arguments, out="out", targets=saved / "images"):
        return run_main(
            project,
            f"--network={saved / 'small.safetensors'}",
            f"--targets={targets}",
            f"--out={tmp_path / out}",
            *STEPS,
            *arguments,
        )

    return run


def about(folder):
    return json.loads((folder / "projection.json").read_text())


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_project_and_tune(run, run_main, saved, tmp_path):
    network = saved / "small.safetensors"
    printed = run("--class=b", "--noise=const", "--video=webp")
    assert "wrote 3 projections of 16x16" in printed and "1: multiscale 0." in printed
    out = tmp_path / "out"
    assert {path.name for path in (out / "1").iterdir()} == {
        *("target.png", "projection.png", "difference.png", "path.webp"),
        *("projected_w.npz", "projection.json"),
    }
    assert {path.name for path in out.iterdir()} == {
        *("0", "1", "2", "grid.png", "projected_w.npz")
    }
    assert pixels(out / "grid.png").shape == (3 * 16, 3 * 16, 3)
    np.testing.assert_array_equal(
        pixels(out / "1" / "target.png"), pixels(saved / "images/1.png")
    )
    with Image.open(out / "1" / "path.webp") as video:
        assert video.n_frames == 3 and video.size == (32, 16)
    # With constant noise, the latents alone give the image.
    g = stylegan_jax.load(network)
    ws = np.load(out / "1" / "projected_w.npz")["w"]
    assert ws.shape == (1, 6, 8)
    np.testing.assert_array_equal(
        g.synthesize(ws)[0], pixels(out / "1" / "projection.png")
    )
    found = about(out / "1")
    assert found["distance"] < found["start_distance"] and found["label"] == [0, 1]
    assert found["settings"]["steps"] == found["steps"] == 30

    arguments = (f"--network={network}", f"--projections={out}", "--steps=3")
    more = ("--distance=multiscale", "--stop_distance=0", f"--out={tmp_path / 'tuned'}")
    printed = run_main(tune, *arguments, *more)
    assert "tuned around 3 images in 3 steps" in printed
    names = {path.name for path in (tmp_path / "tuned").iterdir()}
    assert names == {
        *("images", "grid.png", "tuned.json", "projected_w.npz"),
        *("tuned.safetensors", "delta.safetensors"),
    }
    for name in ("tuned", "delta"):
        tuned = stylegan_jax.load(tmp_path / "tuned" / f"{name}.safetensors")
        image = tuned.synthesize(ws)[0].astype(int)
        assert abs(image - pixels(tmp_path / "tuned" / "images" / "1.png")).max() <= 1
    other = ("--network=smileys64", *arguments[1:], *more)
    with pytest.raises(ValueError, match="were projected with another network"):
        run_main(tune, *other)


def test_a_difference_beyond_float16_loses_nothing(tmp_path, monkeypatch, capsys):
    g, image = small.network(), np.zeros((16, 16, 3), np.uint8)
    stored = results.Stored("a", image, image, np.zeros((6, 8), np.float32), {})
    one = np.zeros(1)
    found = tuning.Tuned(g, image[None], one, one, one, one, steps=2, chosen_step=2)
    tuner = tuning.Tuner(g, tuning.TuningSettings(), distance="multiscale")

    def beyond(*arguments):
        raise ValueError("the difference of x exceeds float16")

    monkeypatch.setattr(tune.delta, "save", beyond)
    tune.write(tmp_path, g, tuner, [stored], found)
    assert "without delta.safetensors: the difference of x" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("images", "grid.png", "tuned.json", "projected_w.npz", "tuned.safetensors")
    }


def test_noise_maps_of_projections_are_noted(capsys):
    image, ws = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 8), np.float32)
    stored = [
        results.Stored(str(maps), image, image, ws, {"noise_maps": maps})
        for maps in (0, 3)
    ]
    tune.note_noise_maps(stored[:1])
    assert capsys.readouterr().out == ""
    tune.note_noise_maps(stored)
    assert "NOTE: 1 of 2 images were projected with" in capsys.readouterr().out


def test_a_class_is_fitted(run, run_main, saved, tmp_path):
    """The targets are the averages of both classes, so that their w is the start."""
    g = stylegan_jax.load(saved / "small.safetensors")
    folder = tmp_path / "averages"
    folder.mkdir()
    for name in ("b", "a"):
        mean = w_statistics(g, name).mean
        image = g.synthesize(np.broadcast_to(mean, (1, 6, 8)))[0]
        Image.fromarray(image).save(folder / f"{name}.png")
    run("--fit_class", "--noise=const", targets=folder)
    for name in ("a", "b"):
        found = about(tmp_path / "out" / name)
        assert found["fitted_class"] == name and found["label"] == "fit"
        assert found["start_distance"] < 0.01
    with pytest.raises(ValueError, match="takes the place of --class and --label"):
        run("--fit_class", "--class=b", out="other")
    with pytest.raises(ValueError, match="fitted label needs a network with classes"):
        run("--fit_class", "--start=random", out="other")


def test_an_encoder_is_trained_and_used(run, run_main, saved, tmp_path):
    network, path = saved / "small.safetensors", tmp_path / "encoder.safetensors"
    more = ("--steps=2", "--batch_size=2", "--distance=multiscale")
    printed = run_main(encoder, f"--network={network}", f"--out={path}", *more)
    assert "trained on 4 samples of 16x16 (width x height)" in printed
    run("--class=b", "--start=encoder", f"--encoder={path}")
    found = about(tmp_path / "out" / "0")
    assert found["settings"]["start"] == "encoder"
    assert found["distance"] < found["start_distance"]
    for flags in (("--start=encoder",), (f"--encoder={path}",)):
        with pytest.raises(ValueError, match="belong together, and only one is given"):
            run("--class=b", *flags, out="other")
    with pytest.raises(ValueError, match="cannot be used: it is a safetensors file, b"):
        run("--class=b", "--start=encoder", f"--encoder={network}", out="other")


def test_interrupted_and_resumed(run, tmp_path, monkeypatch):
    """With two runs for each target, an interruption in the middle changes no bit."""
    arguments = ("--class=b", "--restarts=2", "--video=gif")
    run(*arguments, out="whole")
    original, calls = projection.Session.advance, []

    def advance(session):
        calls.append(1)
        if len(calls) == 5:  # of nine: one target is done, and the next half done
            signal.raise_signal(signal.SIGINT)
        return original(session)

    with monkeypatch.context() as patch:
        patch.setattr(projection.Session, "advance", advance)
        with pytest.raises(KeyboardInterrupt):
            run(*arguments)
    out = tmp_path / "out"
    assert (out / "unfinished.safetensors").exists()
    with pytest.raises(ValueError, match="an interrupted projection with other seed; "):
        run(*arguments, "--seed=7")
    with pytest.raises(ValueError, match="with other names, targets; repeat its"):
        run(*arguments, targets=out / "0" / "target.png")
    other = dataclasses.replace(distances.load("multiscale"), digest="another formula")
    with monkeypatch.context() as patch:
        patch.setitem(distances.DISTANCES, "multiscale", lambda *_: other)
        with pytest.raises(ValueError, match="with other distance; repeat its"):
            run(*arguments)
    content = (out / "unfinished.safetensors").read_bytes()
    (out / "unfinished.safetensors").write_bytes(content[:-9])
    with pytest.raises(ValueError, match="is damaged"):
        run(*arguments)
    (out / "unfinished.safetensors").write_bytes(content)
    assert "continuing after 100 of 180 steps" in run(*arguments)
    assert not (out / "unfinished.safetensors").exists()
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(files) == 3 * 6 + 2
    for name in files:
        one, other = ((tmp_path / d / name).read_bytes() for d in ("whole", "out"))
        if name.suffix == ".npz":
            one, other = (np.load(tmp_path / d / name) for d in ("whole", "out"))
            assert one.files == other.files
            assert all(np.array_equal(one[k], other[k]) for k in one.files)
        else:
            assert one == other, name


@pytest.mark.slow
def test_by_vgg16(run, tmp_path, saved):
    weights = tmp_path / "vgg16.safetensors"
    safetensors.write(weights, recipe.tensors("lpips", "features."), {})
    one = saved / "images" / "0.png"
    run("--class=b", f"--vgg16={weights}", "--distance=auto", targets=one)
    found = about(tmp_path / "out" / "0")
    assert found["distance_name"] == "lpips"
    assert found["distance"] < found["start_distance"]
    target, image = (
        pixels(tmp_path / "out" / "0" / f"{name}.png")[None] / np.float32(127.5) - 1
        for name in ("target", "projection")
    )
    distance = lpips.LPIPS(weights, batch_size=1)(target, image)[0]
    np.testing.assert_allclose(found["distance"], distance, rtol=0.05)  # 8 bits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "class (=None) must be one of a, b"),
        (["--class=b", "--resolution=8"], "resolution (=8) must be 16"),
        (["--class=b", "--boxes=/no/file"], "`--boxes` (=/no/file) does not exist"),
        (
            ["--class=b", "--restarts=9", "--start=samples", "--samples=8"],
            "at most samp",
        ),
        (
            ["--class=b", "--vgg16=/no/file", "--distance=lpips"],
            "no file /no/file with",
        ),
    ],
)
def test_wrong_input_writes_nothing(run, tmp_path, arguments, message):
    with pytest.raises((ValueError, OSError), match=re.escape(message)):
        run(*arguments)
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_no_image(run, tmp_path):
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match="a.png is not an image, or its header is"):
        run("--class=b", targets=tmp_path / "a.png")
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_not_there(run_main, tmp_path):
    arguments = ("--network=smileys64", f"--out={tmp_path / 'x'}")
    with pytest.raises(ValueError, match="no file or folder is /no/file"):
        run_main(project, *arguments, "--targets=/no/file")
    with pytest.raises(ValueError, match="holds no projections"):
        run_main(tune, *arguments, f"--projections={tmp_path}")
    with pytest.raises(ValueError, match="must end in .safetensors"):
        run_main(encoder, "--network=smileys64", f"--out={tmp_path / 'x'}")
    assert not (tmp_path / "x").exists()
