import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data import images, preparation
from stylegan_jax.data.formats import open_collection
from stylegan_jax.data.image_names import image_names
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.data.sources import EMOJI, open_source
from stylegan_jax.data.sources import folder as folder_source
from stylegan_jax.data.sources import tfds as tfds_source
from stylegan_jax.data.sources.folder import END_BYTES

GROUPS = (
    "activities",
    "animals-nature",
    "food-drink",
    "objects",
    "people-body",
    "smileys-emotion",
    "symbols",
    "travel-places",
)


def random_image(size=(16, 16), mode="RGB", seed=0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = [size[1], size[0], bands]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode)


def write_images(root, names, size=(16, 16), mode="RGB"):
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        random_image(size, mode, seed).save(root / name)


def folder(path, **changes):
    settings = {"source": "folder", "path": str(path), "resolution": 16} | changes
    return config.Data(**settings)


def read(source, index=0):
    tf = images.tensorflow()
    image, label = source.load(tf.constant(index, tf.int64))
    label = label.numpy()
    assert label.dtype == np.float32 and label.shape == (source.label_size,)
    if not source.label_size:
        return image.numpy(), 0
    assert sorted(label) == [0] * (len(label) - 1) + [1]
    return image.numpy(), int(label.argmax())


def failure(data) -> str:
    with pytest.raises(ValueError) as error:
        open_source(data)
    return str(error.value)


# Built-in images.


def test_builtin_has_the_documented_images():
    source = open_source(config.Data(resolution=64))
    assert EMOJI.stat().st_size <= 8_000_000
    assert source.num_images == 1631
    assert source.classes == GROUPS and source.label_size == 8
    labels = [read(source, index)[1] for index in range(source.num_images)]
    counts = np.bincount(labels, minlength=8)
    assert counts.tolist() == [85, 159, 131, 264, 381, 169, 224, 218]
    image, _ = read(source)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    assert "activities/" in source.describe(0) and source.check(0) is None
    assert (EMOJI.parent / "NOTICE").read_text().startswith("emoji64.zip")


def test_builtin_is_averaged_down():
    full, _ = read(open_source(config.Data(resolution=64)), 7)
    small, _ = read(open_source(config.Data(resolution=16)), 7)
    mean = full.reshape(16, 4, 16, 4, 3).astype(np.float64).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_builtin_names_its_largest_resolution():
    message = failure(config.Data(resolution=128))
    assert "`data.resolution` (=128) must be at most 64" in message
    assert "--config.data.resolution=64" in message


# Folders.


def test_folder_is_sorted_and_labelled_by_subfolder(tmp_path):
    write_images(tmp_path, ["cat/x/2.png", "cat/1.png", "ant/9.png"])
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / "._1.png").write_text("left by a Mac")
    source = open_source(folder(tmp_path, conditional=True))
    names = [str(tmp_path / n) for n in ("ant/9.png", "cat/1.png", "cat/x/2.png")]
    assert [source.describe(i) for i in range(source.num_images)] == names
    assert source.classes == ("ant", "cat")
    for index, label in enumerate([0, 1, 1]):
        image, found = read(source, index)
        assert found == label
        np.testing.assert_array_equal(image, np.asarray(Image.open(names[index])))


def test_folder_follows_links_but_not_in_circles(tmp_path):
    write_images(tmp_path / "elsewhere", ["1.png"])
    write_images(tmp_path / "root", ["cat/2.png"])
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat" / "loop").symlink_to(tmp_path / "root")
    source = open_source(folder(tmp_path / "root"))
    assert source.classes == ("cat", "dog") and source.num_images == 2


def test_links_list_no_folder_twice(tmp_path):
    for name in "abc":
        write_images(tmp_path / name, ["1.png"])
        for other in set("abc") - {name}:
            (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
    assert image_names(tmp_path) == ["a/1.png", "b/1.png", "c/1.png"]
    # From within a sibling, where only links lead to the others.
    assert image_names(tmp_path / "a") == ["1.png", "to_b/1.png", "to_c/1.png"]


def test_a_folder_is_listed_by_its_own_path_or_the_first_link(tmp_path):
    write_images(tmp_path / "elsewhere", ["x/1.png"])
    write_images(tmp_path / "root", ["m/2.png"])
    (tmp_path / "root" / "a").symlink_to("m")
    for name in "zk":
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)  # holds the root
    assert image_names(tmp_path / "root") == ["k/x/1.png", "m/2.png"]


def test_folder_with_images_at_its_top_has_no_classes(tmp_path):
    write_images(tmp_path, ["a.png", "cat/b.png"])
    assert open_source(folder(tmp_path)).classes == ()
    message = failure(folder(tmp_path, conditional=True))
    assert "`data.conditional` is set, but folder" in message
    assert "has no class labels" in message


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_channels_are_converted(tmp_path, mode, channels):
    picture = random_image(mode="RGB" if mode == "P" else mode)
    if mode == "P":
        picture = picture.convert("P")
    picture.save(tmp_path / "a.png")
    image, _ = read(open_source(folder(tmp_path, channels=channels)))

    expected = picture.convert("RGBA")
    if channels < 4:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(expected)
        expected = white.convert("RGB" if channels == 3 else "L")
    expected = np.asarray(expected).reshape(16, 16, channels)
    # PIL composites and weighs in fixed point: a step of 1 in each of the two.
    tolerance = {4: 0, 3: 1, 1: 2}[channels]
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), expected, atol=tolerance)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "gif", "webp", "JPEG"])
def test_formats_are_read(tmp_path, suffix):
    smooth = np.linspace(0, 255, 16).astype(np.uint8)
    pixels = np.broadcast_to(smooth[:, None, None], [16, 16, 3]).copy()
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    image, _ = read(open_source(folder(tmp_path)))
    np.testing.assert_allclose(image.astype(int), pixels, atol=12)  # lossy formats


def test_exact_averages_multiples(tmp_path):
    write_images(tmp_path, ["a.png"], size=(16, 16))
    write_images(tmp_path, ["b.png"], size=(64, 64))
    source = open_source(folder(tmp_path))
    full = np.asarray(Image.open(tmp_path / "b.png"), np.float64)
    mean = full.reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(read(source, 1)[0], np.rint(mean))
    assert read(source, 0)[0].shape == (16, 16, 3)


def test_crop_takes_the_central_square(tmp_path):
    pixels = np.zeros([32, 96, 3], np.uint8)
    pixels[:, 32:64] = [10, 200, 90]
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(tmp_path / "tall.png")
    source = open_source(folder(tmp_path, fit="crop"))
    for index in range(2):
        image, _ = read(source, index)
        np.testing.assert_array_equal(
            image, np.broadcast_to([10, 200, 90], [16, 16, 3])
        )


def test_crop_keeps_images_of_the_right_size(tmp_path):
    write_images(tmp_path, ["a.png"])
    image, _ = read(open_source(folder(tmp_path, fit="crop")))
    np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / "a.png")))


def test_crop_resizes_without_aliasing(tmp_path):
    checkers = np.indices([50, 50]).sum(0) % 2 * 255
    Image.fromarray(checkers.astype(np.uint8)).save(tmp_path / "a.png")
    image, _ = read(open_source(folder(tmp_path, fit="crop")))
    np.testing.assert_allclose(image[2:-2, 2:-2].astype(int), 127, atol=6)


@pytest.mark.parametrize("size", [(16, 32), (48, 48), (8, 8), (20, 20)])
def test_exact_refuses_other_sizes(tmp_path, size):
    write_images(tmp_path, ["ok.png"])
    write_images(tmp_path, [f"bad{i}.png" for i in range(7)], size=size)
    message = failure(folder(tmp_path))
    assert message.startswith("7 of the 8 images looked at in `data.path`")
    where = f"{tmp_path / 'bad0.png'} is {size[1]}x{size[0]} (height x width)"
    assert where + "; `data.fit`='exact' takes 16x16, or 2, 4, 8... times" in message
    assert message.count("'exact'") == 5 and "... and 2 more" in message
    assert "`--config.data.fit=crop`" in message
    assert ("`--config.data.resolution=8`" in message) == (size == (8, 8))
    command = f"`python -m stylegan_jax.prepare --source={tmp_path} --out=... --reso"
    assert command + "lution=16x16 --crop=center`" in message


def test_crop_refuses_small_images(tmp_path):
    write_images(tmp_path, ["a.png"], size=(40, 12))
    message = failure(folder(tmp_path, fit="crop"))
    assert "is 12x40 (height x width); `data.fit`='crop' takes images of" in message
    assert "of at least 16x16" in message
    assert "use `--config.data.resolution=8`, or remove these images" in message


def test_sizes_are_checked_again_when_decoding(tmp_path):
    write_images(tmp_path, ["a.png"])
    source = open_source(folder(tmp_path))
    random_image((64, 4)).save(tmp_path / "a.png")  # as many pixels as 16x16
    tf = images.tensorflow()
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(source)
    assert source.check(0).startswith("is 4x64 (height x width); `data.fit`=")


def test_files_that_are_no_images_are_named(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "b.png").write_text("hello")
    message = failure(folder(tmp_path))
    assert message.startswith("1 of the 2 images looked at")
    assert f"{tmp_path / 'b.png'} is not an image, or its header is" in message
    assert "remove or replace" in message


def test_images_that_are_to_be_turned_are_told(tmp_path):
    write_images(tmp_path, ["a.png"])
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    random_image().save(tmp_path / "b.jpg", exif=exif)
    message = failure(folder(tmp_path))
    assert message.startswith("1 of the 2 images looked at")
    assert f"`python -m stylegan_jax.prepare --source={tmp_path} --out=" in message
    assert f"{tmp_path / 'b.jpg'} is to be turned (EXIF orientation 6)" in message


def test_sixteen_bits_and_other_color_modes_are_read(tmp_path):
    gray = np.random.default_rng(0).integers(0, 65536, [16, 16], np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")
    smooth = np.linspace(0, 255, 16).astype(np.uint8)
    inks = np.stack(np.broadcast_arrays(smooth[:, None], smooth, 40, 90), -1)
    cmyk = Image.fromarray(inks.astype(np.uint8), "CMYK")
    cmyk.save(tmp_path / "b.jpg", quality=95)
    source = open_source(folder(tmp_path))
    eight = np.broadcast_to(gray[..., None] >> 8, [16, 16, 3])
    np.testing.assert_array_equal(read(source, 0)[0], eight)
    found = read(source, 1)[0].astype(int)
    np.testing.assert_allclose(found, cmyk.convert("RGB"), atol=8)


def write_animation(path):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(path) as image:
        assert image.is_animated


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_of_animations_the_first_frame_is_taken(tmp_path, kind):
    write_animation(tmp_path / f"a.{kind}")
    image, _ = read(open_source(folder(tmp_path)))
    assert (image == [255, 0, 0]).all()


def test_animated_webps_are_refused_before_they_are_decoded(tmp_path):
    """TensorFlow 2.21 would write past its memory, and the process be aborted."""
    write_animation(tmp_path / "a.webp")
    animated = (tmp_path / "a.webp").read_bytes()
    message = failure(folder(tmp_path))
    assert "a.webp is an animated WebP, of which no single image can be" in message
    assert "prepare --source=" in message and "takes the first of animations" in message
    exif = Image.Exif()
    exif[images.ORIENTATION] = 1
    random_image(mode="RGBA").save(tmp_path / "a.webp", lossless=True, exif=exif)
    assert b"VP8X" in (tmp_path / "a.webp").read_bytes()
    source = open_source(folder(tmp_path, channels=4))
    assert read(source)[0].shape == (16, 16, 4)  # extended, but not animated
    (tmp_path / "a.webp").write_bytes(animated)
    with pytest.raises(images.tensorflow().errors.InvalidArgumentError):
        read(source)
    assert source.check(0).startswith("is an animated WebP")


def test_missing_and_empty_folders(tmp_path):
    message = failure(folder(tmp_path / "gone"))
    assert f"`data.path` (={str(tmp_path / 'gone')!r}) is not a directory" in message
    (tmp_path / "readme.txt").write_text("no images here")
    message = failure(folder(tmp_path))
    assert "holds no images; files with the endings .bmp, .gif" in message


def test_unknown_source_names_the_known_ones():
    message = failure(config.Data(source="s3"))
    assert (
        "`data.source` (='s3') must be one of ('builtin', 'folder', 'prepared',"
        in message
    )


def test_fingerprint_is_of_the_content_not_the_place(tmp_path):
    write_images(tmp_path / "one", ["a/1.png", "b/2.png"])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = open_source(folder(tmp_path / "one")).fingerprint
    assert open_source(folder(tmp_path / "two")).fingerprint == first
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "c")
    assert open_source(folder(tmp_path / "two")).fingerprint != first


def test_fingerprint_sees_other_images_of_the_same_sizes(tmp_path):
    write_images(tmp_path, ["1.bmp", "2.bmp"], size=(128, 128))
    first = open_source(folder(tmp_path)).fingerprint
    size = (tmp_path / "1.bmp").stat().st_size
    assert size > 2 * END_BYTES
    for seed, name in enumerate(["1.bmp", "2.bmp"]):
        whole = (tmp_path / name).read_bytes()
        random_image((128, 128), seed=5 + seed).save(tmp_path / name)
        assert (tmp_path / name).stat().st_size == size
        assert open_source(folder(tmp_path)).fingerprint != first
        (tmp_path / name).write_bytes(whole)
        os.utime(tmp_path / name, (0, 0))
        assert open_source(folder(tmp_path)).fingerprint == first


def test_fingerprint_of_many_files_reads_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_source, "MAX_CONTENTS", 4)
    names = [f"{i}.bmp" for i in range(9)]
    write_images(tmp_path, names, size=(16, 16))
    first = open_source(folder(tmp_path)).fingerprint
    seen = []
    for name in names:
        whole = (tmp_path / name).read_bytes()
        random_image(seed=99).save(tmp_path / name)
        if open_source(folder(tmp_path)).fingerprint != first:
            seen.append(name)
        (tmp_path / name).write_bytes(whole)
    assert seen == ["0.bmp", "2.bmp", "4.bmp", "6.bmp"]


# TensorFlow Datasets, prepared here; nothing is downloaded.


@pytest.fixture(scope="module")
def tfds_root(tmp_path_factory):
    """Directories `tfrecord` and `array_record`, each with the data set `tiny`."""
    images.tensorflow()
    import tensorflow_datasets as tfds

    def generate(seeds, labelled=True):
        for seed in seeds:
            image = np.asarray(random_image(seed=seed))
            label = seed % 2 if labelled else -1
            yield seed, {"image": image, "label": label, "weight": 0.5}

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["even", "odd"]),
                    "weight": np.float32,
                }
            )
            return self.dataset_info_from_configs(features=features)

        def _split_generators(self, dl_manager):
            return {
                "train": generate(range(12)),
                "test": generate(range(12, 15)),
                "blank": generate(range(15, 18), labelled=False),
            }

        def _generate_examples(self):
            raise AssertionError("unused")

    root = tmp_path_factory.mktemp("tfds")
    for file_format in ("tfrecord", "array_record"):
        builder = Tiny(data_dir=root / file_format, file_format=file_format)
        # Several shards, so that reading across their borders is tested.
        settings = tfds.download.DownloadConfig(num_shards=3)
        builder.download_and_prepare(download_config=settings)
    return root


def tiny(root, file_format, **changes):
    if file_format == "array_record":
        pytest.importorskip("array_record")
    data = config.Data(
        source="tfds",
        tfds_name="tiny",
        tfds_data_dir=str(root / file_format),
        tfds_download=False,
        resolution=16,
        conditional=True,
    )
    return dataclasses.replace(data, **changes)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize("split", ["train", "train[3:9]", "test", "train+test"])
def test_tfds_matches_its_own_reader(tfds_root, file_format, split):
    import tensorflow_datasets as tfds

    data = tiny(tfds_root, file_format, tfds_split=split)
    source = open_source(data)
    builder = tfds.builder("tiny", data_dir=data.tfds_data_dir)
    if file_format == "tfrecord":
        settings = tfds.ReadConfig(interleave_cycle_length=1)
        examples = builder.as_dataset(split=split, read_config=settings)
        expected = list(tfds.as_numpy(examples))
    else:
        expected = list(builder.as_data_source(split=split))
    assert source.num_images == len(expected) > 0
    assert source.classes == ("even", "odd")
    for index, example in enumerate(expected):
        image, label = read(source, index)
        np.testing.assert_array_equal(image, example["image"])
        assert label == example["label"]
        assert source.check(index) is None
    assert "tiny/1.0.0" in source.describe(0) and "record" in source.describe(0)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_is_batched(tfds_root, file_format):
    from stylegan_jax.data import pipeline

    source = open_source(tiny(tfds_root, file_format))
    pixels, labels = pipeline.first_images(source, resolution=8, count=12, seed=1)
    assert pixels.shape == (12, 8, 8, 3)
    assert labels.sum(0).tolist() == [6, 6]
    assert len(np.unique(pixels, axis=0)) == 12


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_is_prepared_into_our_form(tfds_root, file_format, tmp_path):
    data = tiny(tfds_root, file_format, tfds_split="train[2:]")
    opened = open_collection("tfds:tiny", "train[2:]", data.tfds_data_dir)
    info = preparation.prepare(opened, Request(tmp_path / "out"), lambda *_: None)
    assert info["num_images"] == 10 and info["skipped"] == []
    assert info["classes"] == ("even", "odd") and sum(info["label_totals"]) == 10
    ours = open_source(folder(tmp_path / "out", source="prepared"))
    theirs = open_source(data)
    for index in range(10):
        for our, their in zip(read(ours, index), read(theirs, index), strict=True):
            np.testing.assert_array_equal(our, their)
    assert ours.label_totals == theirs.label_totals
    with pytest.raises(ValueError, match="`--source` .=tfds:tiny. can't be opened. `d"):
        open_collection("tfds:tiny", "valid", data.tfds_data_dir)


def test_tfds_splits_without_labels(tfds_root, tmp_path):
    data = tiny(tfds_root, "tfrecord", tfds_split="blank", conditional=False)
    source = open_source(data)
    assert source.num_images == 3 and source.classes == source.label_totals == ()
    assert read(source)[0].shape == (16, 16, 3) and source.check(0) is None
    opened = open_collection("tfds:tiny", "blank", data.tfds_data_dir)
    info = preparation.prepare(opened, Request(tmp_path / "out"), lambda *_: None)
    assert info["num_images"] == 3 and info["classes"] == ()
    message = failure(dataclasses.replace(data, conditional=True))
    assert "blank has no class labels" in message


def test_tfds_splits_with_some_labels_are_refused(tfds_root, monkeypatch):
    data = tiny(tfds_root, "tfrecord", tfds_split="test+blank")
    reason = "3 of the 6 images looked at in tfds tiny/1.0.0 test.blank have no class"
    with pytest.raises(ValueError, match=reason):
        open_source(data)
    with pytest.raises(ValueError, match=f"`--source` .=tfds:tiny. can't .*{reason}"):
        open_collection("tfds:tiny", "test+blank", data.tfds_data_dir)
    # Of many images not all are looked at.
    monkeypatch.setattr(tfds_source, "MAX_LABELS", 1)
    source = open_source(dataclasses.replace(data, tfds_split="train+blank"))
    assert source.classes == ("even", "odd") and source.check(0) is None
    assert source.check(14) == "has no class (its label is -1), others have one"
    with pytest.raises(images.tensorflow().errors.InvalidArgumentError):
        read(source, 14)


def test_tfds_does_not_keep_the_process_from_exiting(tfds_root):
    # So far ahead of what is used that records are being read when it exits.
    program = f"""
from stylegan_jax import config
from stylegan_jax.data import pipeline, sources
source = sources.open_source({tiny(tfds_root, "tfrecord")!r})
batches = pipeline.batches(source, resolution=16, batch_size=32, start_images=0, seed=0,
    process_index=0, process_count=1, prefetch_batches=100000)
for _ in range(20):
    next(batches)
""".replace("Data(", "config.Data(")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_tfds_fingerprint_is_of_the_content(tfds_root, tmp_path):
    first = open_source(tiny(tfds_root, "tfrecord"))
    shutil.copytree(tfds_root / "tfrecord", tmp_path / "tfrecord")
    assert open_source(tiny(tmp_path, "tfrecord")).fingerprint == first.fingerprint
    other = open_source(tiny(tfds_root, "tfrecord", tfds_split="test"))
    assert other.fingerprint != first.fingerprint


def test_tfds_damage_is_named(tfds_root, tmp_path):
    from stylegan_jax.data import pipeline

    shutil.copytree(tfds_root / "tfrecord", tmp_path / "tfrecord")
    source = open_source(tiny(tmp_path, "tfrecord"))
    shard = source.describe(0).split(" of ")[1]
    with open(shard, "r+b") as file:
        content = file.read()
        file.seek(content.index(b"IDAT") + 40)
        file.write(bytes(200))
    with pytest.raises(ValueError, match="tiny.*record 0 of .*00000-of-.* is damaged"):
        pipeline.first_images(source, resolution=8, count=12, seed=1)
    with open(shard, "r+b") as file:
        file.truncate(len(content) - 5)
    message = failure(tiny(tmp_path, "tfrecord"))
    assert shard in message and "Prepare the data set again" in message


def test_tfds_not_prepared_names_directory_and_command(tfds_root, tmp_path):
    message = failure(tiny(tmp_path, "", tfds_name="mnist"))
    assert "`data.tfds_name` (='mnist') is not prepared in" in message
    assert str(tmp_path / "mnist") in message
    assert f"`tfds build mnist --data_dir={tmp_path}" in message
    assert not (tmp_path / "mnist").exists()


def test_tfds_is_prepared_when_allowed(tfds_root, tmp_path):
    source = open_source(tiny(tmp_path, "new", tfds_download=True))
    assert source.num_images == 12
    assert open_source(tiny(tmp_path, "new")).fingerprint == source.fingerprint


def test_tfds_unknown_name_and_split(tfds_root):
    message = failure(tiny(tfds_root, "tfrecord", tfds_name="cifar11"))
    assert "`data.tfds_name` (='cifar11') is neither" in message
    assert str(tfds_root / "tfrecord") in message and "did you mean cifar10" in message
    message = failure(tiny(tfds_root, "tfrecord", tfds_name="lsun/bedrom"))
    assert "`data.tfds_name` (='lsun/bedrom') can't be opened" in message
    message = failure(tiny(tfds_root, "tfrecord", tfds_split="valid"))
    assert (
        "`data.tfds_split` (='valid') must be one of ['blank', 'test', 'train']"
        in message
    )


def test_tfds_sizes_are_checked(tfds_root):
    message = failure(tiny(tfds_root, "tfrecord", resolution=64))
    assert "record 0 of" in message
    assert "is 16x16 (height x width); `data.fit`='exact' takes 64x64" in message
    assert "use `--config.data.resolution=16`" in message
    command = "`python -m stylegan_jax.prepare --source=tfds:tiny --split=train --out="
    assert command in message
