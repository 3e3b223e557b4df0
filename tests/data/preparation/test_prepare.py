"""The data sets that `prepare` makes of images and labels."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import prepare as front_door
from stylegan_jax.data.preparation.options import output_size
from stylegan_jax.data.preparation.output import FORMAT_VERSION
from stylegan_jax.data.sources import open_source
from tests import goldens
from tests.data.opened import contents, data, prepare, prepare_failure, read, records
from tests.data.raw_data import FILES, pack, png, random_image


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz"])
def test_folders_and_archives_of_every_kind(tmp_path, kind, small_shards):
    files = dict(sorted(FILES.items()))
    source = pack(kind, tmp_path / "raw", files)
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


def test_dataset_info(tmp_path):
    frames = [random_image((32, 16), seed=seed) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    files = {"a/1.png": png(1, (32, 16)), "b/2.gif": file.getvalue(), "b/3.png": b"x"}
    source = pack("zip", tmp_path / "raw", files | {"b/4.png": png(4)})
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
        "format_version": FORMAT_VERSION,
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
        "source": "raw.zip",
        "animated": 1,
        "skipped": [["b/3.png", "is not an image, or its header is damaged"]],
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_dataset_json_is_found_beside_the_images(tmp_path, kind):
    numbers = [[name, i % 3] for i, name in enumerate(FILES)]
    content = json.dumps({"labels": numbers}).encode()
    source = pack(kind, tmp_path / "raw", FILES | {"dataset.json": content})
    info = prepare(source, tmp_path / "out")
    assert info["classes"] == ("0", "1", "2") and info["label_totals"] == [4, 3, 3]


def test_fingerprint_depends_on_the_content_not_the_order(tmp_path):
    one = pack("folder", tmp_path / "one", {"1.png": png(1), "2.png": png(2)})
    two = pack("zip", tmp_path / "two", {"x.png": png(2), "y.bmp": png(1, kind="BMP")})
    other = pack("folder", tmp_path / "other", {"1.png": png(1), "2.png": png(3)})
    first, second, third = (
        prepare(source, tmp_path / f"out{i}")["fingerprint"]
        for i, source in enumerate((one, two, other))
    )
    assert first == second != third


def test_jpegs_are_kept_when_nothing_changes(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pack("folder", tmp_path / "in", {"1.jpg": jpeg, "2.png": png(2)})
    prepare(source, tmp_path / "out")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg in shard.read_bytes()
    prepare(source, tmp_path / "small", size=(8, 8))
    assert (
        jpeg not in (tmp_path / "small" / "r0008-00000-of-00001.tfrecord").read_bytes()
    )


def test_jpegs_that_center_wide_crops_are_not_kept(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pack("folder", tmp_path / "in", {"1.jpg": jpeg})
    prepare(source, tmp_path / "out", size=(8, 16), crop="center-wide")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg not in shard.read_bytes()
    ((image,),) = records(shard)
    assert not image[:4].any() and not image[12:].any() and image[4:12].any()


def test_multires_has_each_level(tmp_path):
    source = pack("folder", tmp_path / "in", {"1.png": png(1), "2.png": png(2)})
    info = prepare(source, tmp_path / "out", multires=True)
    assert info["resolutions"] == [16, 8, 4]
    (large, *_) = records(tmp_path / "out" / "r0016-00000-of-00001.tfrecord")[0]
    (small, *_) = records(tmp_path / "out" / "r0004-00000-of-00001.tfrecord")[0]
    mean = large.reshape(4, 4, 4, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_gray_stays_gray_only_if_all_are(tmp_path):
    gray = {"1.png": png(1, mode="L"), "2.png": png(2, mode="LA")}
    assert prepare(pack("zip", tmp_path / "1", gray), tmp_path / "a")["channels"] == 1
    mixed = pack("zip", tmp_path / "2", gray | {"3.png": png(3, mode="RGBA")})
    assert prepare(mixed, tmp_path / "b")["channels"] == 3
    assert prepare(mixed, tmp_path / "c", channels=4)["channels"] == 4


def test_label_files(tmp_path):
    def with_labels(labels):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        content = json.dumps({"labels": labels}).encode()
        return pack("zip", path, FILES | {"dataset.json": content})

    numbers = [[name, int(name[2]) % 3] for name in FILES]
    info = prepare(with_labels(numbers), tmp_path / "out")
    assert info["classes"] == ("0", "1", "2")
    assert info["label_totals"] == [4, 3, 3]
    assert prepare(with_labels(None), tmp_path / "none")["classes"] == ()
    message = prepare_failure(with_labels([*numbers, ["gone.png", 0]]), tmp_path / "x")
    assert "has labels for 1 images that do not exist" in message
    assert "gone.png" in message
    message = prepare_failure(with_labels(numbers[1:]), tmp_path / "x")
    assert "has no labels for 1 images" in message and "a/0.png" in message
    message = prepare_failure(
        with_labels([["a/0.png", 0.5], *numbers[1:]]), tmp_path / "x"
    )
    assert "a/0.png: 0.5" in message and "integers from 0" in message
    vectors = [[name, [0.5, number]] for name, number in numbers]
    message = prepare_failure(
        with_labels([*vectors[:-1], ["b/9.png", [1]]]), tmp_path / "x"
    )
    assert "has 1 labels that are not lists of 2 finite numbers" in message
    assert "b/9.png: [1]" in message
    message = prepare_failure(with_labels(None), tmp_path / "x", labels="dataset.json")
    assert "`--labels` (=dataset.json) finds no labels in" in message
    top = pack("zip", tmp_path / "top", {"1.png": png(1)})
    message = prepare_failure(top, tmp_path / "x", labels="folders")
    assert "all images must lie in subfolders" in message


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


def test_output_sizes_are_those_of_training():
    assert output_size((512, 1024)).base_size == (4, 8)
    assert output_size((384, 512)).base_size == (3, 4)
    assert output_size((384, 512)).resolution == 512
    assert output_size((4, 4)).resolution == 4
    for size in [(2, 2), (2048, 2048), (96, 96), (4, 400)]:
        with pytest.raises(ValueError, match="the networks do not support"):
            output_size(size)


def test_a_zip_is_read_by_training_and_by_prepare(tmp_path, run_main):
    source = pack("folder", tmp_path / "raw", FILES)
    out = tmp_path / "photos.zip"
    arguments = (f"--source={source}", f"--out={out}", "--labels=folders")
    printed = run_main(front_door, *arguments)
    assert f"10 images of 16x16 (width x height), 3 channels, 2 classes to {out}" in (
        printed
    )
    assert zipfile.is_zipfile(out) and not (tmp_path / "photos.zip.partial").exists()
    opened = open_source(data("zip", out, conditional=True))
    assert (opened.num_images, len(opened.classes)) == (10, 2)
    assert list(opened.label_totals) == [5, 5]
    again = prepare(out, tmp_path / "again")
    assert (again["num_images"], list(again["label_totals"])) == (10, [5, 5])
    for index, (image, label) in enumerate(
        records(tmp_path / "again" / "r0016-00000-of-00001.tfrecord")
    ):
        pixels, place = read(opened, index)
        np.testing.assert_array_equal(pixels, image)
        assert place == label


def test_command_line(tmp_path):
    source = pack("zip", tmp_path / "raw", FILES | {"a/x.png": b"hello"})

    command = [sys.executable, "-m", "stylegan_jax.prepare", f"--source={source}"]
    command += [f"--out={tmp_path / 'out'}", "--resolution=8", "--labels=folders"]
    command += ["--workers=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "wrote 10 images of 8x8 (width x height), 3 channels, 2 cl" in done.stdout
    assert "class a: 5" in done.stdout
    assert "a/x.png is not an image" in done.stdout
