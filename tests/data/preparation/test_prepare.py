"""What `prepare` makes of images and labels."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import prepare as front_door
from stylegan_jax.data import preparation
from stylegan_jax.data.preparation.request import geometry_of
from tests import goldens
from tests.data.preparation.piles import (
    FILES,
    contents,
    failure,
    picture,
    pile,
    png,
    prepare,
    records,
)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz"])
def test_piles_of_every_kind(tmp_path, kind, small_shards):
    files = dict(sorted(FILES.items()))
    source = pile(kind, tmp_path / "pile", files)
    info = prepare(source, tmp_path / "out", labels="folders", workers=3)
    assert info["num_images"] == 10 and info["images_of_shard"] == [4, 4, 2]
    assert info["classes"] == ("a", "b") and info["label_totals"] == [5, 5]
    assert (info["height"], info["width"], info["resolution"]) == (16, 16, 16)
    stored = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert stored == json.loads(json.dumps(info))
    shards = sorted((tmp_path / "out").glob("r0016-*-of-00003.tfrecord"))
    found = [record for shard in shards for record in records(shard)]
    for (name, content), (image, label) in zip(files.items(), found, strict=True):
        np.testing.assert_array_equal(image, Image.open(io.BytesIO(content)))
        assert label == "ab".index(name[0])
    assert sorted(contents(tmp_path / "out")) == ["dataset_info.json"] + [
        shard.name for shard in shards
    ]
    assert not (tmp_path / "out.partial").exists()


def test_what_the_data_set_says_of_itself(tmp_path):
    frames = [picture(seed, (32, 16)) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    files = {"a/1.png": png(1, (32, 16)), "b/2.gif": file.getvalue(), "b/3.png": b"x"}
    source = pile("zip", tmp_path / "pile", files | {"b/4.png": png(4)})
    info = prepare(
        source,
        tmp_path / "out",
        size=(8, 16),
        filter="box",
        labels="folders",
        multires=True,
        max_images=3,
    )
    stored = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert stored == json.loads(json.dumps(info))
    versions, fingerprint = stored.pop("versions"), stored.pop("fingerprint")
    assert sorted(versions) == ["numpy", "pillow", "python", "stylegan_jax"]
    assert len(fingerprint) == 64
    assert stored == {
        "format_version": preparation.FORMAT_VERSION,
        "num_images": 2,
        "height": 8,
        "width": 16,
        "base_size": [4, 8],
        "resolution": 8,
        "channels": 3,
        "classes": ["a", "b"],
        "label_vectors": False,
        "label_totals": [1, 1],
        "resolutions": [8, 4],
        "images_of_shard": [2],
        "crop": "none",
        "filter": "box",
        "source": "pile.zip",
        "animated": 1,
        "skipped": [["b/3.png", "is not an image, or its header is damaged"]],
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_dataset_json_is_found_beside_the_images(tmp_path, kind):
    numbers = [[name, i % 3] for i, name in enumerate(FILES)]
    content = json.dumps({"labels": numbers}).encode()
    source = pile(kind, tmp_path / "pile", FILES | {"dataset.json": content})
    info = prepare(source, tmp_path / "out")
    assert info["classes"] == ("0", "1", "2") and info["label_totals"] == [4, 3, 3]


def test_fingerprint_is_of_the_content_not_the_order(tmp_path):
    one = pile("folder", tmp_path / "one", {"1.png": png(1), "2.png": png(2)})
    two = pile("zip", tmp_path / "two", {"x.png": png(2), "y.bmp": png(1, kind="BMP")})
    other = pile("folder", tmp_path / "other", {"1.png": png(1), "2.png": png(3)})
    first, second, third = (
        prepare(source, tmp_path / f"out{i}")["fingerprint"]
        for i, source in enumerate((one, two, other))
    )
    assert first == second != third


def test_jpegs_are_kept_when_nothing_changes(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pile("folder", tmp_path / "in", {"1.jpg": jpeg, "2.png": png(2)})
    prepare(source, tmp_path / "out")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg in shard.read_bytes()
    prepare(source, tmp_path / "small", size=(8, 8))
    assert (
        jpeg not in (tmp_path / "small" / "r0008-00000-of-00001.tfrecord").read_bytes()
    )


def test_jpegs_that_center_wide_crops_are_not_kept(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pile("folder", tmp_path / "in", {"1.jpg": jpeg})
    prepare(source, tmp_path / "out", size=(8, 16), crop="center-wide")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg not in shard.read_bytes()
    ((image,),) = records(shard)
    assert not image[:4].any() and not image[12:].any() and image[4:12].any()


def test_multires_has_each_level(tmp_path):
    source = pile("folder", tmp_path / "in", {"1.png": png(1), "2.png": png(2)})
    info = prepare(source, tmp_path / "out", multires=True)
    assert info["resolutions"] == [16, 8, 4]
    (large, *_) = records(tmp_path / "out" / "r0016-00000-of-00001.tfrecord")[0]
    (small, *_) = records(tmp_path / "out" / "r0004-00000-of-00001.tfrecord")[0]
    mean = large.reshape(4, 4, 4, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_gray_stays_gray_only_if_all_are(tmp_path):
    gray = {"1.png": png(1, bands=1), "2.png": png(2, bands=2)}
    assert prepare(pile("zip", tmp_path / "1", gray), tmp_path / "a")["channels"] == 1
    mixed = pile("zip", tmp_path / "2", gray | {"3.png": png(3, bands=4)})
    assert prepare(mixed, tmp_path / "b")["channels"] == 3
    assert prepare(mixed, tmp_path / "c", channels=4)["channels"] == 4


def test_label_files(tmp_path):
    def with_labels(labels):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        content = json.dumps({"labels": labels}).encode()
        return pile("zip", path, FILES | {"dataset.json": content})

    numbers = [[name, int(name[2]) % 3] for name in FILES]
    info = prepare(with_labels(numbers), tmp_path / "out")
    assert info["classes"] == ("0", "1", "2")
    assert info["label_totals"] == [4, 3, 3]
    assert prepare(with_labels(None), tmp_path / "none")["classes"] == ()
    message = failure(with_labels([*numbers, ["gone.png", 0]]), tmp_path / "x")
    assert "has labels of 1 images that aren't there" in message
    assert "gone.png" in message
    message = failure(with_labels(numbers[1:]), tmp_path / "x")
    assert "has no label of 1 images" in message and "a/0.png" in message
    message = failure(with_labels([["a/0.png", 0.5], *numbers[1:]]), tmp_path / "x")
    assert "a/0.png: 0.5" in message and "whole numbers from 0" in message
    vectors = [[name, [0.5, number]] for name, number in numbers]
    message = failure(with_labels([*vectors[:-1], ["b/9.png", [1]]]), tmp_path / "x")
    assert "has 1 labels that are no lists of 2 finite numbers" in message
    assert "b/9.png: [1]" in message
    message = failure(with_labels(None), tmp_path / "x", labels="dataset.json")
    assert "`--labels` (=dataset.json) finds none in" in message
    top = pile("zip", tmp_path / "top", {"1.png": png(1)})
    message = failure(top, tmp_path / "x", labels="folders")
    assert "all images must lie in sub-folders" in message


def test_nvidias_zip_is_read_and_written(tmp_path, small_shards):
    source = goldens.path("stylegan2_and_3/I7_tiny_dataset.zip")
    info = prepare(source, tmp_path / "out.zip", format="zip")
    assert info["label_totals"] == [3, 1, 2, 1]
    with (
        zipfile.ZipFile(source) as theirs,
        zipfile.ZipFile(tmp_path / "out.zip") as our,
    ):
        names = theirs.namelist()
        assert our.namelist() == [*names[:-1], "dataset_info.json", names[-1]]
        assert {e.compress_type for e in our.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(our.read(names[-1])) == json.loads(theirs.read(names[-1]))
        for name in names[:-1]:
            ours, other = (Image.open(z.open(name)) for z in (our, theirs))
            assert ours.mode == other.mode
            np.testing.assert_array_equal(ours, other)
    assert not (tmp_path / "out.zip.partial").exists()


def test_geometry_counts_as_training_does():
    assert geometry_of((512, 1024)).base_size == (4, 8)
    assert geometry_of((384, 512)).base_size == (3, 4)
    assert geometry_of((384, 512)).resolution == 512
    assert geometry_of((4, 4)).resolution == 4
    for size in [(2, 2), (2048, 2048), (96, 96), (4, 400)]:
        with pytest.raises(ValueError, match="is no size for the networks"):
            geometry_of(size)


def test_command_line(tmp_path):
    source = pile("zip", tmp_path / "pile", FILES | {"a/x.png": b"hello"})

    def run(*arguments):
        command = [sys.executable, "-m", "stylegan_jax.prepare", f"--source={source}"]
        command += [f"--out={tmp_path / 'out'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    done = run("--resolution=8", "--labels=folders", "--workers=2")
    assert done.returncode == 0, done.stderr
    assert "wrote 10 images of 8x8 (width x height), 3 channels, 2 cl" in done.stdout
    assert "class a: 5" in done.stdout
    assert "a/x.png is not an image" in done.stdout
    again = run()
    assert again.returncode == 1 and again.stderr.startswith("error: `--out`")


def test_resolutions_are_parsed():
    assert front_door.parse_resolution("512x384") == (384, 512)
    assert front_door.parse_resolution("256") == (256, 256)
    with pytest.raises(ValueError, match="512x384"):
        front_door.parse_resolution("0x3")
