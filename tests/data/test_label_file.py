"""dataset.json: where it is found, and how its names are matched with the images."""

import json
import unicodedata

import numpy as np
import pytest

from stylegan_jax.data import formats, label_file
from stylegan_jax.data.label_file import LabelFile, read_labels
from stylegan_jax.data.labels import from_folders, wrapping_folder
from stylegan_jax.data.preparation import choose_labels, dropped_labels
from stylegan_jax.data.sources import open_source
from tests.data.opened import data, folder, open_failure, read
from tests.data.raw_data import pack, png

COMPOSED, DECOMPOSED = (unicodedata.normalize(f, "é.png") for f in ("NFC", "NFD"))


def content(labels) -> bytes:
    return json.dumps({"labels": labels}).encode()


def label_file_of(labels, where="") -> LabelFile:
    return LabelFile(where, "x.json", lambda: content(labels))


def values(labels, names, where="") -> list:
    return read_labels(label_file_of(labels, where), names).values.tolist()


def failure(labels, names) -> str:
    with pytest.raises(ValueError) as error:
        read_labels(label_file_of(labels), names)
    return str(error.value)


# Names


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a\\b.png", "a/b.png"),
        (".\\a\\b.png", "a/b.png"),
        ("./a//b.png", "a/b.png"),
        ("/a/b.png", "a/b.png"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
        (COMPOSED, DECOMPOSED.encode().decode("cp437")),  # a zip made by macOS
        ("A/B.PNG", "a/b.png"),
        ("STRASSE.png", "straße.PNG"),
        (f"A\\{COMPOSED.upper()}", f"a/{DECOMPOSED}"),
    ],
)
def test_names_match_however_they_are_written(written, name):
    assert values([[written, 1], ["other.png", 0]], ["other.png", name]) == [0, 1]


def test_a_literal_name_comes_first():
    names = ["a.png", "A.png", COMPOSED, DECOMPOSED]
    labels = [[name, i] for i, name in enumerate(names)]
    assert values(labels[::-1], names) == [0, 1, 2, 3]
    # Another case does not give a second label to an image.
    message = failure([["a.png", 0], ["A.png", 0]], ["a.png"])
    assert message.endswith("do not exist; remove them, or add the images:\n  A.png")


def test_ambiguous_names_are_shown_with_their_code_points():
    message = failure([["É.png", 0]], [COMPOSED, DECOMPOSED])
    assert message.splitlines()[1] == (
        f"  É.png (U+00C9); without a label: {COMPOSED} (U+00E9) and {DECOMPOSED} "
        "(U+0301)"
    )
    message = failure([["IMG.png", 0]], ["img.png", "Img.png"])
    assert "IMG.png; without a label: img.png and Img.png" in message
    # A Cyrillic letter looks like a Latin one.
    message = failure([["\u0430bc.png", 0]], ["abc.png"])
    assert "\u0430bc.png (U+0430); without a label: abc.png" in message
    assert "  é.png (U+00E9)" in failure([["a.png", 0]], ["a.png", COMPOSED])


def test_different_labels_of_an_image_are_named():
    labels = [["0.png", 0], ["0.png", 2], ["1.png", 1], ["1.png", 1], ["./1.png", 1]]
    message = failure([*labels, ["2.png", [1.5]]], ["0.png", "1.png", "2.png"])
    assert message == (
        "x.json has conflicting labels for 1 images; keep one label "
        "for each:\n  0.png: 0 and 2"
    )
    assert values(labels[2:], ["1.png"]) == [1]
    vectors = [["a.png", [0.5, 1]], ["a.png", [0.5, 2]]]
    assert "\n  a.png: [0.5, 1] and [0.5, 2]" in failure(vectors, ["a.png"])
    message = failure([[COMPOSED, 0], [DECOMPOSED, 1]], [DECOMPOSED])
    assert (
        f"{DECOMPOSED} (U+0301): 0 for {COMPOSED} (U+00E9) and 1 for {DECOMPOSED} "
        "(U+0301)" in message
    )


@pytest.mark.parametrize("prefix", ["", "photos/", "a/photos/"])
@pytest.mark.parametrize("where", ["", "a/", "a/photos/"])
def test_names_are_relative_to_the_file_or_a_folder_around_all_images(prefix, where):
    names = ["a/photos/0.png", "a/photos/1.png"]
    labels = [[f"{prefix}{i}.png", 1 - i] for i in range(2)]
    assert values(labels, names, where) == [1, 0]


# Places


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("wrapper", ["photos/", "a/b/"])
def test_a_folder_around_everything_hides_no_label_file(tmp_path, kind, wrapper):
    labels = content([[f"{i}.png", i % 2] for i in range(4)])
    files = {f"{wrapper}{i}.png": png(i) for i in range(4)}
    files |= {f"{wrapper}dataset.json": labels, "READ.ME": b"hello"}
    path = pack(kind, tmp_path / "in", files)
    raw = formats.open_raw_dataset(str(path))
    found = choose_labels(raw, "auto")
    assert (found.names, found.values.tolist()) == (("0", "1"), [0, 1, 0, 1])
    if kind != "tar":
        source = open_source(data(kind, path, conditional=True))
        assert source.classes == ("0", "1")
        assert [read(source, i)[1] for i in range(4)] == [0, 1, 0, 1]
        plain = pack(kind, tmp_path / "plain", {k: files[k] for k in list(files)[:4]})
        assert source.fingerprint != open_source(data(kind, plain)).fingerprint


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("wrapper", ["pets/", "a/b/"])
def test_classes_are_the_first_folders_that_differ(tmp_path, kind, wrapper):
    files = {f"{wrapper}{c}/x/{i}.png": png(i) for c in ("dog", "cat") for i in (0, 1)}
    path = pack(kind, tmp_path / "in", files)
    raw = formats.open_raw_dataset(str(path))
    found = choose_labels(raw, "folders")
    in_order = [0 if "/cat/" in name else 1 for name in raw.names]
    assert (found.names, found.values.tolist()) == (("cat", "dog"), in_order)
    if kind != "tar":
        source = open_source(data(kind, path, conditional=True))
        assert source.classes == ("cat", "dog") and source.label_totals == (2, 2)


def test_one_folder_of_images_is_no_class(tmp_path):
    names = ["photos/1.png", "photos/2.png"]
    assert wrapping_folder(names) == "photos/" and from_folders(names) is None
    assert from_folders(["p/a/1.png", "p/2.png"]) is None
    path = pack("folder", tmp_path / "in", {name: png() for name in names})
    assert open_source(folder(path)).classes == ()
    message = open_failure(folder(path, conditional=True))
    assert "has no class labels; unset it, or put all images into at least two" in (
        message
    )


def test_the_outermost_label_file_counts_and_a_single_one_elsewhere():
    def choose(files, images=("p/a/1.png", "p/b/2.png")):
        return label_file.choose(files, images, "{} here".format, str.encode)

    assert choose([]) is None
    chosen = choose(["p/dataset.json", "dataset.json", "p/a/dataset.json"])
    assert (chosen.folder, chosen.where) == ("", "dataset.json here")
    assert choose(["p/a/dataset.json", "p/dataset.json"]).folder == "p/"
    assert choose(["meta/dataset.json"]).folder == "meta/"
    several = choose(["p/b/dataset.json", "p/a/dataset.json"])
    with pytest.raises(ValueError, match="is one of 2 files of that name, in diff"):
        several.read()


def test_a_label_file_beside_the_folder_of_images_is_read(tmp_path):
    labels = content([["0.png", 1], ["1.png", 0]])
    files = {"images/0.png": png(0), "images/1.png": png(1)}
    path = pack("zip", tmp_path / "in", files | {"meta/dataset.json": labels})
    assert read(open_source(data("zip", path, conditional=True)), 0)[1] == 1


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_labels_of_files_that_are_left_out_are_ignored(tmp_path, kind):
    labels = content([["0.png", 1], ["1.heic", 0], [".\\2.HEIC", 5]])
    files = {"in/0.png": png(), "in/1.heic": b"x", "in/2.heic": b"x"}
    path = pack(kind, tmp_path / "x", files | {"in/dataset.json": labels})
    raw = formats.open_raw_dataset(str(path))
    assert choose_labels(raw, "auto").values.tolist() == [1]
    assert "2 of 3 files" in raw.notes[0] and "2 .heic" in raw.notes[0]


# Label files that are not needed

UNUSABLE = {
    "names a missing image": content([["0.png", 0], ["gone.png", 1]]),
    "of another program": b'{"images": []}',
    "no JSON": b"hello",
    "empty": b"",
}


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("how", UNUSABLE)
def test_an_unusable_label_file_matters_only_if_labels_are_needed(tmp_path, kind, how):
    files = {"0.png": png(), "dataset.json": UNUSABLE[how]}
    path = pack(kind, tmp_path / "in", files)
    source = open_source(data(kind, path))
    assert source.classes == () and source.num_images == 1
    (note,) = source.notes
    assert note.startswith("no labels are used, as none are needed here, and ")
    assert "dataset.json" in note and "\n" not in note
    message = open_failure(data(kind, path, conditional=True))
    assert message.startswith(note.split(" and ", 1)[1].split("  ")[0][:40])
    # `prepare` says how to do without labels.
    raw = formats.open_raw_dataset(str(path))
    with pytest.raises(ValueError, match="use --labels=none to prepare the images wit"):
        choose_labels(raw, "auto")
    assert choose_labels(raw, "none").names == ()


def test_a_usable_label_file_gives_labels_that_are_not_needed(tmp_path):
    files = {"0.png": png(), "dataset.json": content([["0.png", 2]])}
    source = open_source(folder(pack("folder", tmp_path / "in", files)))
    assert source.classes == ("0", "1", "2") and source.notes == ()


def test_folders_that_prepare_ignores_are_told(tmp_path):
    files = {f"{name}/0.png": png() for name in "abcdefg"}
    raw = formats.open_raw_dataset(str(pack("zip", tmp_path / "in", files)))
    assert choose_labels(raw, "auto").names == ()
    assert dropped_labels(raw, "auto") == (
        "the images are in 7 folders (a, b, c, d, e, ...), which --labels=auto does "
        "not use as classes; --labels=folders does",
    )
    assert dropped_labels(raw, "none") == dropped_labels(raw, "folders") == ()
    files |= {"dataset.json": content([[name, 0] for name in files])}
    raw = formats.open_raw_dataset(str(pack("zip", tmp_path / "more", files)))
    assert dropped_labels(raw, "auto") == ()
    np.testing.assert_array_equal(choose_labels(raw, "auto").values, 0)
