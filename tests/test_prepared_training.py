"""Training runs on prepared sets and label vectors."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train
from stylegan_jax.data import formats, preparation
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.sources import open_source
from tests import tiny
from tests.data.formats import test_parquet
from tests.data.opened import read
from tests.data.raw_data import cifar_files, idx, noise, nvidia_folder, pack, png
from tests.data.sources.test_tfds import tfds_root  # noqa: F401, a fixture

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_a_growing_run_on_levels_is_that_on_the_originals(tmp_path, tmp_path_factory):
    """A run on the emoji prepared with multires is bit for bit that on the emoji."""
    emoji = open_source(config.Data(resolution=64))
    (tmp_path / "emoji").mkdir()
    for index in range(emoji.num_images):
        image = Image.fromarray(read(emoji, index)[0])
        image.save(tmp_path / "emoji" / f"{index:04d}.bmp")
    options = PrepareOptions(
        tmp_path / "set", size=(16, 16), filter="area", multires=True, workers=2
    )
    opened = formats.open_raw_dataset(str(tmp_path / "emoji"))
    preparation.prepare(opened, options, lambda *_: None)
    settings = {"data.source": "prepared", "data.path": str(tmp_path / "set")}
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(settings), tmp_path / "run")
    finished = tiny.finished_run(tmp_path_factory)
    assert consumed == json.loads((finished / "consumed.json").read_text())
    tiny.assert_same(tiny.restored(tmp_path / "run"), tiny.restored(finished))


def cifar_tar(root):
    return pack("tar.gz", root / "cifar", cifar_files("py"))


def mnist_file(root):
    path = root / "x-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(noise(12, 28, 28))))
    return path


def lsun_folder(root):
    packed = Path(__file__).parent / "data" / "formats" / "lsun.mdb.gz"
    (root / "data.mdb").write_bytes(gzip.decompress(packed.read_bytes()))
    return root


def nvidias_tfrecords(root):
    levels = [noise(12, 3, side, side) for side in (4, 8)]
    nvidia_folder(root / "records", levels, labels=np.eye(3)[np.arange(12) % 3])
    return root / "records"


def nvidias_zip(root):
    labels = json.dumps({"labels": [[f"{i}.png", i % 3] for i in range(12)]})
    files = {f"{i}.png": png(i, size=(8, 8)) for i in range(12)}
    return pack("zip", root / "pile", files | {"dataset.json": labels.encode()})


def parquet_file(root):
    return test_parquet.write(root / "x.parquet", [png(i) for i in range(12)])


# Functions that make a small data set of each format, and the `data.source` that trains
# on it without preparation.
SORTED = {f"{'ab'[i % 2]}/{i}.png": png(i, size=(8, 8)) for i in range(12)}
FORMATS = {
    "folder": (lambda root: pack("folder", root / "x", SORTED), "folder"),
    "zip": (lambda root: pack("zip", root / "x", SORTED), "zip"),
    "tar": (lambda root: pack("tar.xz", root / "x", SORTED), None),
    "nvidia zip": (nvidias_zip, "zip"),
    "nvidia tfrecords": (nvidias_tfrecords, "tfrecords"),
    "cifar": (cifar_tar, None),
    "mnist": (mnist_file, None),
    "lsun": (lsun_folder, None),
    "parquet": (parquet_file, None),
    "tfds": (None, "tfds"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_prepared_and_trained_from(tmp_path, request, kind):
    make, direct = FORMATS[kind]
    if kind == "tfds":
        root = str(request.getfixturevalue("tfds_root") / "tfrecord")
        opened = formats.open_raw_dataset("tfds:tiny", tfds_data_dir=root)
        origin = {"data.tfds_name": "tiny", "data.tfds_data_dir": root}
    else:
        path = make(tmp_path)
        opened = formats.open_raw_dataset(str(path))
        origin = {"data.path": str(path)}
    out = tmp_path / "out"
    options = PrepareOptions(out, size=(8, 8), channels=3, multires=True)
    info = preparation.prepare(opened, options, lambda *_: None)
    assert info["num_images"] == len(opened.names) >= 10 and not info["skipped"]
    runs = [{"data.source": "prepared", "data.path": str(out)}]
    if direct:
        runs.append({"data.source": direct} | origin)
    for number, settings in enumerate(runs):
        run = tmp_path / f"run{number}"
        train.train(tiny.experiment(tiny.STYLEGAN2 | settings), run)
        assert tiny.ticks(run)[-1]["images_seen"] == 64
        assert np.isfinite(tiny.ticks(run)[-1]["d_main/loss"])


@pytest.mark.slow
def test_label_vectors_train_and_generate(tmp_path, capsys):
    files = {f"{i}.png": png(i) for i in range(12)}
    rows = [[name, [i / 12, float(i % 2), -1]] for i, name in enumerate(files)]
    content = json.dumps({"labels": rows}).encode()
    path = pack("zip", tmp_path / "pile", files | {"dataset.json": content})
    settings = {
        "data.source": "zip",
        "data.path": str(path),
        "data.conditional": True,
        "data.resolution": 8,
    }
    train.train(tiny.experiment(tiny.STYLEGAN2 | settings), tmp_path / "run")
    printed = capsys.readouterr().out
    assert "label vectors of 3, means from -1 (2) to 0.5 (1)\n  0 0.458\n" in printed
    (event,) = tiny.events(tmp_path / "run", "labels")
    assert event["names"] == ["0", "1", "2"] and event["images"] == 12
    np.testing.assert_allclose(event["totals"], [5.5, 6, -12])
    assert all(np.isfinite(row["d_main/loss"]) for row in tiny.ticks(tmp_path / "run"))
    arguments = [f"--workdir={tmp_path / 'run'}", "--seeds=0-1"]
    out, other = tmp_path / "out", tmp_path / "other"
    tiny.finish(
        tiny.start(
            "stylegan_jax.generate", *arguments, f"--out={out}", "--label=0.5,1,-1"
        )
    )
    tiny.finish(
        tiny.start(
            "stylegan_jax.generate", *arguments, f"--out={other}", "--label=-9,0,9"
        )
    )
    assert (out / "grid.png").read_bytes() != (other / "grid.png").read_bytes()
    message = tiny.failure(
        tiny.start("stylegan_jax.generate", *arguments, f"--out={out}", "--label=1,2")
    )
    assert "label (='1,2') must be 3 numbers separated by commas" in message
