"""Folders: listing, labels, sizes that are refused, and fingerprints."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import formats
from stylegan_jax.data.formats.folder import list_images
from stylegan_jax.data.sources import folder as folder_source
from stylegan_jax.data.sources import open_source
from stylegan_jax.data.sources.folder import END_BYTES
from stylegan_jax.runtime import messages
from tests.data.opened import folder, open_failure, read
from tests.data.raw_data import random_image, write_images


def test_folder_is_sorted_and_labeled_by_subfolder(tmp_path):
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


def test_folder_follows_links_but_not_in_cycles(tmp_path):
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
    assert list_images(tmp_path).names == (
        "a/1.png",
        "b/1.png",
        "c/1.png",
    )
    # In `a` only links lead to the others.
    assert list_images(tmp_path / "a").names == (
        "1.png",
        "to_b/1.png",
        "to_c/1.png",
    )


def test_a_folder_is_listed_by_its_own_path_or_the_first_link(tmp_path):
    write_images(tmp_path / "elsewhere", ["x/1.png"])
    write_images(tmp_path / "root", ["m/2.png"])
    (tmp_path / "root" / "a").symlink_to("m")
    for name in "zk":
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)  # holds the root
    assert list_images(tmp_path / "root").names == (
        "k/x/1.png",
        "m/2.png",
    )


def test_a_folder_that_cannot_be_listed_is_not_left_out(tmp_path, monkeypatch):
    write_images(tmp_path, ["cat/1.png", "dog/1.png"])
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "dog":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="dog"):
        open_source(folder(tmp_path))
    with pytest.raises(PermissionError, match="dog"):
        formats.open_raw_dataset(str(tmp_path))


def test_folder_with_images_at_its_top_has_no_classes(tmp_path):
    write_images(tmp_path, ["a.png", "cat/b.png"])
    assert open_source(folder(tmp_path)).classes == ()
    message = open_failure(folder(tmp_path, conditional=True))
    assert "`data.conditional` is set, but folder" in message
    assert "has no class labels" in message


@pytest.mark.parametrize("size", [(16, 32), (48, 48), (8, 8), (20, 20)])
def test_exact_refuses_other_sizes(tmp_path, size):
    write_images(tmp_path, ["ok.png"])
    write_images(tmp_path, [f"bad{i}.png" for i in range(7)], size=size)
    message = open_failure(folder(tmp_path))
    assert message.startswith("7 of the 8 images checked in `data.path`")
    where = f"{tmp_path / 'bad0.png'} is {size[0]}x{size[1]} (width x height)"
    assert where + "; `data.fit`='exact' takes 16x16, or 2, 4, 8... times" in message
    assert message.count("'exact'") == 5 and "... and 2 more" in message
    assert "`--config.data.fit=crop`" in message
    assert ("`--config.data.resolution=8`" in message) == (size == (8, 8))
    command = messages.command(
        "prepare",
        f"--source={tmp_path}",
        f"--out={tmp_path.name}-16x16",
        "--resolution=16x16",
        "--crop=center",
    )
    assert f"`{command}`" in message


def test_crop_refuses_small_images(tmp_path):
    write_images(tmp_path, ["a.png"], size=(40, 12))
    message = open_failure(folder(tmp_path, fit="crop"))
    assert "is 40x12 (width x height); `data.fit`='crop' takes images of" in message
    assert "of at least 16x16" in message
    assert "use `--config.data.resolution=8`, or remove these images" in message


def test_files_that_are_not_images_are_named(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "b.png").write_text("hello")
    message = open_failure(folder(tmp_path))
    assert message.startswith("1 of the 2 images checked")
    assert f"{tmp_path / 'b.png'} is not an image, or its header is" in message
    assert "remove or replace" in message


def test_missing_and_empty_folders(tmp_path):
    message = open_failure(folder(tmp_path / "gone"))
    assert f"`data.path` (={str(tmp_path / 'gone')!r}) does not exist" in message
    (tmp_path / "readme.txt").write_text("no images here")
    message = open_failure(folder(tmp_path))
    assert "holds no images (AVIF, BMP, DIB, GIF" in message
    assert message.endswith("which is not a readable image: 1 .txt")


def test_fingerprint_depends_on_the_content_not_the_place(tmp_path):
    write_images(tmp_path / "one", ["a/1.png", "b/2.png"])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = open_source(folder(tmp_path / "one")).fingerprint
    assert open_source(folder(tmp_path / "two")).fingerprint == first
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "c")
    assert open_source(folder(tmp_path / "two")).fingerprint != first


def test_fingerprint_differs_for_other_images_of_the_same_sizes(tmp_path):
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
