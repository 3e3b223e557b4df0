"""Images among the files of a folder or an archive, and notes about the others."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import decoding, formats
from stylegan_jax.data.formats import listing
from stylegan_jax.data.sources import from_path, open_source
from stylegan_jax.runtime.image_io import save_png
from tests.data.opened import data, prepare
from tests.data.raw_data import noise, pack, png

# Files by name that are images in spite of their endings.
BY_CONTENT = {
    "photo": png(1),
    "0123abcd": png(2, kind="JPEG"),
    "IMG_1.JFIF": png(3, kind="JPEG"),
    "scan.tif_": png(4, kind="TIFF"),
    "x.image": png(5, kind="BMP"),
    "y.bin": png(6, kind="GIF"),
}
OTHERS = {
    "notes.txt": b"hello",
    "more.TXT": b"hello",
    "film.mp4": b"\0\0\0\x18ftypmp42",
    "BMW": b"BMW is no bitmap",
    "P5": b"P5 is no graymap",
    "tiny": b"\x0c\0",
    "void": b"",
    "half.part": png(7),
    "photo.png~": png(8),
    "raw.nef": png(9, kind="TIFF"),
}
UNSEEN = {".hidden.png": png(), "__MACOSX/._a.png": b"x", "Thumbs.db": b"x"}
UNSEEN |= {f"{name}/a.png": png() for name in ("x/@eaDir", "#recycle", "$RECYCLE.BIN")}
NOTE = (
    "left out 10 of {} files, which are not readable images: 2 .txt, "
    "4 without an extension, 1 .part, 1 .mp4, 1 .png~, 1 .nef"
)


def picture(kind, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(16, 16, 3)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz"])
def test_content_decides_where_the_ending_does_not(tmp_path, kind):
    images = {"a.png": png(), "damaged.jpg": b"hello"} | BY_CONTENT
    path = pack(kind, tmp_path / "in", images | OTHERS | UNSEEN)
    raw = formats.open_raw_dataset(str(path))
    assert sorted(raw.names) == sorted(images)
    total = len(images) + len(OTHERS)
    (note,) = raw.notes
    counts = note.partition(": ")[2].split(", ")
    assert sorted(counts) == sorted(NOTE.partition(": ")[2].split(", "))
    assert note.startswith(NOTE.format(total).partition(":")[0])
    for index, name in enumerate(raw.names):
        assert raw.read(index) == images[name]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_training_and_evaluate_list_the_same_images(tmp_path, kind):
    files = {"a.png": png(), "b": png(1), "c.jpe": png(2, kind="JPEG"), "d.txt": b"x"}
    path = pack(kind, tmp_path / "in", files)
    source = open_source(data(kind, path))
    assert [source.describe(i).rpartition("/")[2] for i in range(3)] == [
        "a.png",
        "b",
        "c.jpe",
    ]
    note = "left out 1 of 4 files, which is not a readable image: 1 .txt"
    assert source.notes == (note,)
    assert from_path.open_path(str(path), (16, 16), "exact").notes == (note,)
    assert prepare(path, tmp_path / "out")["num_images"] == 3


def test_every_format_is_recognized_by_its_ending_and_its_content():
    saved = {"PPM": "PPM", "MPO": "JPEG"}
    for name in decoding.FORMATS:
        read = picture(saved.get(name, name)).__getitem__
        kind = listing.kind_by_content("x", lambda most, read=read: read(slice(most)))
        assert kind == "image", name
    endings = {".jpg", ".jfif", ".jpe", ".png", ".tif", ".bmp", ".gif", ".webp", ".ppm"}
    assert endings <= listing.image_endings()
    assert not {".heic", ".txt", ".eps", ".pdf", ".ps"} & listing.image_endings()
    assert listing.kind_by_name("a.PNG", False) == "image"


@pytest.mark.parametrize("kind", ["", "gz"])
def test_of_several_entries_of_a_name_in_a_tar_the_last_counts(tmp_path, kind):
    entries = [("a.png", png(1)), ("b.png", png(2)), ("./a.png", png(3))]
    with tarfile.open(tmp_path / "in.tar", f"w:{kind}") as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    raw = formats.open_raw_dataset(str(tmp_path / "in.tar"))
    assert raw.names == ("b.png", "a.png")  # in the order of the archive
    assert [raw.read(index) for index in range(2)] == [png(2), png(3)]


def test_an_empty_folder_of_other_files_says_what_it_holds(tmp_path):
    files = {f"{i}.x{i}": b"x" for i in range(25)}
    path = pack("folder", tmp_path / "in", files)
    with pytest.raises(ValueError) as error:
        formats.open_raw_dataset(str(path))
    message = str(error.value)
    assert "holds no images (" in message and "PNG" in message
    assert "left out 25 of 25 files, which are not readable images" in message
    assert message.count("1 .x") == 20 and message.endswith(", ...")


# Grids


@pytest.fixture
def generated(tmp_path):
    """Files as `generate` writes them: images of seeds, and a marked grid."""
    folder = tmp_path / "out"
    folder.mkdir()
    for seed in range(4):
        save_png(folder / f"seed{seed:04d}.png", noise(16, 16, 3, seed=seed))
    save_png(folder / "grid.png", noise(32, 32, 3), grid=True)
    return folder


def note_on(name) -> tuple[str, ...]:
    return (f"left out 1 grid of images that this package wrote: {name}",)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_grids_are_no_images(generated, tmp_path, kind):
    path = pack(kind, tmp_path / "in", contents(generated))
    raw = formats.open_raw_dataset(str(path))
    assert raw.names == tuple(f"seed{i:04d}.png" for i in range(4))
    assert raw.notes == note_on("grid.png")
    assert prepare(path, tmp_path / "prepared")["num_images"] == 4
    if kind != "tar.gz":
        source = from_path.open_path(str(path), (16, 16), "exact")
        assert source.num_images == 4 and source.notes == note_on("grid.png")


def test_a_grid_is_known_by_its_mark(generated, tmp_path, monkeypatch):
    (generated / "grid.png").rename(generated / "best.png")
    raw = formats.open_raw_dataset(str(generated))
    assert len(raw.names) == 4 and raw.notes == note_on("best.png")
    # In large sets, names decide which files are looked at.
    for module in (formats.folder, formats.archives):
        monkeypatch.setattr(module, "MAX_HEADS", 4)
    archive = pack("zip", tmp_path / "in", contents(generated))
    for path in (generated, archive):
        assert len(formats.open_raw_dataset(str(path)).names) == 5
    (generated / "best.png").rename(generated / "my grid (2).png")
    assert formats.open_raw_dataset(str(generated)).notes == note_on("my grid (2).png")


@pytest.mark.parametrize(
    ("size", "beside", "is_grid"),
    [
        ((32, 64), "seed0000.png", True),
        ((16, 16), "seed0000.png", False),
        ((24, 32), "seed0000.png", False),
        ((32, 64), "a.png", False),
    ],
)
def test_grids_of_earlier_versions_are_known_by_their_size(
    tmp_path, size, beside, is_grid
):
    save_png(tmp_path / "grid.png", noise(*size, 3))
    save_png(tmp_path / beside, noise(16, 16, 3))
    raw = formats.open_raw_dataset(str(tmp_path))
    assert sorted(raw.names) == sorted([beside] if is_grid else [beside, "grid.png"])


def test_grids_of_earlier_trainings_are_known_by_their_names(tmp_path):
    names = ("fakes-000012.000.png", "reals-000000.000.png", "fakes-1.png", "a.png")
    for name in names:
        save_png(tmp_path / name, noise(16, 16, 3))
    raw = formats.open_raw_dataset(str(tmp_path))
    assert raw.names == ("a.png", "fakes-1.png")
    assert raw.notes == (
        "left out 2 grids of images that this package wrote: fakes-000012.000.png, "
        "reals-000000.000.png",
    )


def test_a_mark_changes_no_pixel(tmp_path):
    pixels = noise(8, 8, 3)
    save_png(tmp_path / "grid.png", pixels, grid=True)
    with Image.open(tmp_path / "grid.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
        assert image.text == {"stylegan_jax": "grid of images"}
