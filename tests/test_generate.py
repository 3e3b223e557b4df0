"""generate and export with networks in files: latents, noise, sizes and formats."""

import re

import numpy as np
import pytest
from PIL import Image

import stylegan_jax
from stylegan_jax import export, generate
from stylegan_jax.networks import file
from stylegan_jax.runtime import storage
from tests.networks import small


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the path of a conditional network in a file."""
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    file.save(small.network(classes=("a", "b")), path)
    return path


@pytest.fixture
def run(run_main, saved, tmp_path):
    """Generate to `tmp_path / "out"`; return what the command prints."""

    def run(*arguments):
        out = f"--out={tmp_path / 'out'}"
        return run_main(generate, f"--network={saved}", out, *arguments)

    return run


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_options_of_python(run, saved, tmp_path):
    g = stylegan_jax.load(saved)
    run(
        *("--seeds=4-6", "--class=b", "--truncation_psi=0.5", "--resolution=8"),
        *("--noise=random", "--noise_seed=3", "--noise_layers=0-2"),
    )
    ws = g.map(g.z("4-6"), "b", truncation_psi=0.5)
    options = {"noise": "random", "noise_seed": 3, "noise_layers": [0, 1, 2]}
    for seed, image in zip(
        (4, 5, 6), g.synthesize(ws, resolution=8, **options), strict=True
    ):
        found = pixels(tmp_path / "out" / f"seed{seed:04d}.png")
        np.testing.assert_array_equal(found, image)


def test_truncation_centers(run, saved, tmp_path, monkeypatch):
    asked = []

    def centers(network, count, label):
        asked.append((count, label.tolist()))
        return np.zeros((count, 8), np.float32)

    monkeypatch.setattr(small.Network, "centers", centers)
    run("--seeds=1-2", "--class=b", "--truncation_psi=0", "--truncation_centers=5")
    assert asked == [(5, [0, 1])]
    images = [pixels(tmp_path / "out" / f"seed000{i}.png") for i in (1, 2)]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_latents_reproduce_the_images(run, tmp_path, format):
    out = tmp_path / "out"
    printed = run("--seeds=1-3", "--class=a", "--format=npz")
    assert f"wrote 3 images to {out / 'images.npz'}" in printed
    arrays = np.load(out / "images.npz")
    np.savez(tmp_path / "projected_w.npz", w=arrays["ws"][1:])
    run(f"--latents={tmp_path / 'projected_w.npz'}", f"--format={format}")
    names = {p.name for p in out.iterdir()} - {"images.npz"}
    assert names == {f"latent0000.{format}", f"latent0001.{format}", "grid.png"}
    for i, image in enumerate(arrays["images"][1:]):
        np.testing.assert_array_equal(pixels(out / f"latent000{i}.{format}"), image)


def test_latents_z_have_the_class_and_the_truncation(run, saved, tmp_path):
    g = stylegan_jax.load(saved)
    np.savez(tmp_path / "z.npz", z=g.z([8, 9]))
    run(f"--latents={tmp_path / 'z.npz'}", "--class=b")
    wanted = g(seeds=[8, 9], label="b", truncation_psi=0.7)
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "latent0001.png"), wanted[1]
    )


def test_latents_w_have_no_class_and_no_noise_maps(run, tmp_path):
    path = tmp_path / "projected_w.npz"
    np.savez(path, w=np.zeros((1, 6, 8)), **{"noise/4x4": np.zeros((1, 4, 4, 1))})
    printed = run(f"--latents={path}")
    assert f"NOTE: {path} holds 1 noise maps, which are not used" in printed
    with pytest.raises(ValueError, match="have no effect on latents w"):
        run(f"--latents={path}", "--class=a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class=c"], "class (='c') must be one of a, b"),
        ([], "class (=None) must be one of a, b"),
        (["--class=a", "--resolution=64"], "resolution (=64) must be 4, 8, 16"),
        (["--class=a", "--noise_layers=9"], "noise layers [9] must be from 0 to 5"),
        (["--class=a", "--noise_layers=x"], "layers (='x') must be numbers"),
        (["--latents=/no/file"], "`--latents` (=/no/file) does not exist"),
        (["--latents=x", "--seeds=0"], "--latents takes the place of --seeds"),
    ],
)
def test_bad_input_writes_nothing(run, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(*arguments)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_no_partial_file(run, tmp_path, monkeypatch):
    written = []
    original = storage.write_atomically

    def full(path, content):
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        written.append(path.name)
        original(path, content)

    monkeypatch.setattr("stylegan_jax.runtime.image_io.write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        run("--seeds=0-4", "--class=a")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == written


def test_export_and_load(run_main, saved, tmp_path):
    out = tmp_path / "new" / "g.safetensors"
    arguments = (f"--network={saved}", f"--out={out}", "--dtype=float16")
    printed = run_main(export, *arguments)
    assert f"wrote {out} (0.0 MB); try: python -m stylegan_jax.generate" in printed
    before, after = (stylegan_jax.load(p)(seeds=0, label="a") for p in (saved, out))
    assert abs(before.astype(int) - after).max() <= 2
    with pytest.raises(ValueError, match=r"`--out` \(=x.png\) must end in"):
        run_main(export, f"--network={saved}", "--out=x.png")


def test_exactly_one_network_is_named(run_main, tmp_path):
    out = f"--out={tmp_path / 'out'}"
    with pytest.raises(ValueError, match="--workdir must be given, and is missing"):
        run_main(generate, out)
    with pytest.raises(ValueError, match="but not --network and --workdir"):
        run_main(generate, out, "--network=a", "--workdir=b")
