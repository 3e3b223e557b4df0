"""interpolate as users start it, with tiny networks."""

import importlib.util
import re

import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import interpolate, load, models, workdir
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks import file, references
from stylegan_jax.networks.network import Network
from stylegan_jax.sampling.frames import NOISE_MODES
from stylegan_jax.sampling.interpolation import CURVES, EASINGS
from tests import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def write_network(path, classes=(), **changes):
    """Write a network in which every variable has an effect."""
    changes = {f"data.{name}": value for name, value in changes.items()}
    e = tiny.experiment({"data.conditional": bool(classes)} | changes)
    generator, _ = models.build(e.model, e.data, len(classes))
    inputs = [np.zeros((1, 8), "f")] + [np.zeros((1, len(classes)), "f")] * bool(
        classes
    )
    random = np.random.RandomState(0)

    def draw(place, leaf):
        # Undoes the mapping's learning rate multiplier, so that ws are of order one.
        scale = 100 if "mapping" in jax.tree_util.keystr(place) else 1
        return np.float32(scale * random.randn(*leaf.shape))

    variables = jax.tree_util.tree_map_with_path(
        draw, jax.eval_shape(generator.init, jax.random.key(0), *inputs)
    )
    lod = LevelOfDetail(16)
    trained = workdir.TrainedGenerator(generator, variables, e, lod, classes, 10, 5)
    file.save(Network(**vars(trained), reference="x"), path)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "rgb.safetensors")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "rgba.safetensors"
    return write_network(path, ("a", "b", "c"), channels=4)


@pytest.fixture
def run(run_main, tmp_path):
    """Runs the command with few frames; returns what it prints and the frames."""

    def command(network, *more, out="walk.webp"):
        out = tmp_path / "new" / out
        arguments = (f"--network={network}", f"--out={out}", "--frames=4", *more)
        printed = run_main(interpolate, *arguments)
        with Image.open(out) as image:
            frames = []
            for i in range(image.n_frames):
                image.seek(i)
                frames.append(np.asarray(image.convert("RGBA")))
        return printed, np.stack(frames)

    return command


def assert_same(a, b):
    """Assert that images agree up to the rounding of other batches."""
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 1


def test_the_flags_have_the_values_of_the_code():
    """They are repeated in the declaration, which imports nothing slow."""
    text = interpolate.COMMAND.help()
    for names in (CURVES, EASINGS, NOISE_MODES, interpolate.video.FORMATS):
        for name in names:
            assert name in text


def test_keyframes_are_the_images_of_their_seeds(run, network):
    printed, frames = run(network, "--seeds=3,1,2")
    assert "wrote 12 frames of 16x16 (width x height), 0.4 s at 30 frames/s" in printed
    images = load(network)(seeds=[3, 1, 2], truncation_psi=0.7)
    assert_same(frames[::4, :, :, :3], images)


VIDEO = ("--seeds=0-3", "--frames=3", "--grid=2x1", "--scale=2", "--loop=open")


@pytest.mark.parametrize("ending", ["mp4", "webm", "gif"])
def test_formats(run_main, conditional, tmp_path, ending):
    if ending != "gif":
        pytest.importorskip("av", reason="needs the extra `video`")
    out = tmp_path / f"a.{ending}"
    more = ("--class=b", "--easing=smooth", "--noise=animated")
    arguments = (f"--network={conditional}", f"--out={out}", *VIDEO, *more)
    printed = run_main(interpolate, *arguments)
    assert "wrote 4 frames of 64x32 (width x height), 0.1 s at 30" in printed
    assert out.stat().st_size > 500


def test_slerp_and_classes(run, conditional):
    arguments = ("--seeds=0-5", "--grid=2x1", "--class=c,0", "--truncation_psi=1")
    drawn = load(conditional)(
        seeds=[0, 1, 2, 3, 4, 5], label=["c", "a", "c"] * 2, truncation_psi=1
    )
    alpha = {}
    for curve in ("cubic", "slerp"):
        _, frames = run(conditional, *arguments, f"--curve={curve}")
        cells = frames[::4].reshape(3, 16, 2, 16, 4).transpose(2, 0, 1, 3, 4)
        cells = cells.reshape(6, 16, 16, 4)
        visible = drawn[..., 3:] > 1
        assert_same(cells * visible, drawn * visible)
        alpha[curve] = frames[2, ..., 3]
    assert not np.array_equal(alpha["cubic"], alpha["slerp"])


def test_latents_replace_seeds(run, network, tmp_path):
    opened = load(network)
    z = opened.z([3, 1, 2])
    _, expected = run(network, "--seeds=3,1,2", "--truncation_psi=1")
    for name, values in (("z", z), ("ws", opened.map(z))):
        np.savez(tmp_path / f"{name}.npz", **{name: values})
        # Only z are truncated by default.
        psi = ("--truncation_psi=1",) if name == "z" else ()
        _, frames = run(network, f"--latents={tmp_path / name}.npz", *psi)
        assert_same(frames, expected)


def test_truncation_towards_centers(run, network, monkeypatch):
    def centers(self, count, label=None):
        assert (count, label) == (2, None)
        return np.zeros((2, 8), "f")

    monkeypatch.setattr(references.Network, "centers", centers)
    _, frames = run(
        network, "--seeds=0-1", "--truncation_centers=2", "--truncation_psi=0"
    )
    assert (frames == frames[:1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds=5",), "the number of keyframes (=1) must be at least 2"),
        (("--seeds=0-3", "--grid=2x2"), "keyframes (=1) must be at least 2"),
        (("--seeds=0-4", "--grid=2x1"), "(=5) must be divisible by the 2 cells"),
        (("--grid=2",), "`--grid` (='2') must be WIDTHxHEIGHT in cells"),
        (("--out=a.avi",), "must end in .mp4, .webm, .gif, .webp, the format of the"),
        (("--out=gs://b/a.mp4",), "(=gs://b/a.mp4) must be on a disk"),
        (("--fps=0",), "flag --fps=0: 0 is not an integer in the range [1, 1000]"),
        (("--fps=60", "--out=a.gif"), "fps (=60) of a .gif must be from 1 to 50"),
        (("--out=a.gif", "--quality=5"), "the file is a .gif"),
        (("--scale=64", "--grid=17x1"), "17408x1024 (width x height) are too large"),
        (("--class=a",), "class (='a') was given to a network without labels"),
        (("--class=a,b",), "class (='a') was given to a network without labels"),
        (("--latents=z.npz", "--seeds=1-2"), "--latents takes the place of --seeds"),
        (("--latents=z.npz",), "[2, 9]; this network takes z [N, 8], w [N, 8] or ws"),
        (("--latents=w.npz", "--curve=slerp"), "interpolates z, but the latents are w"),
        (("--latents=w.npz", "--class=a"), "have no effect on latents w"),
        (("--curve=slerp", "--truncation_centers=3"), "the nearest one changes"),
        (("--noise_layers=9",), "noise layers [9] must be from 0 to 5"),
        (("--resolution=64",), "resolution (=64) must be 4, 8, 16"),
    ],
)
def test_wrong_arguments_are_refused(
    run_main, network, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    np.savez("z.npz", z=np.zeros((2, 9)))
    np.savez("w.npz", w=np.zeros((2, 8)))
    before = sorted(tmp_path.iterdir())
    given = [argument.partition("=")[0] for argument in arguments]
    out = () if "--out" in given else ("--out=new/a.webp",)
    with pytest.raises(ValueError, match=re.escape(message)):
        run_main(interpolate, f"--network={network}", *out, *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_a_class_is_needed_by_a_conditional_network(run_main, conditional, tmp_path):
    with pytest.raises(ValueError, match=r"class \(=None\) must be one of a, b, c"):
        run_main(
            interpolate, f"--network={conditional}", f"--out={tmp_path / 'a.webp'}"
        )


def test_a_missing_encoder_is_found_before_any_work(run_main, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(interpolate, "open_for_program", None)
    with pytest.raises(ValueError, match=r"a.mp4 needs PyAV.* -e '.\[video\]'`, or"):
        run_main(interpolate, "--network=x", f"--out={tmp_path / 'a.mp4'}")
