"""Paths to write are checked before the work."""

from pathlib import Path

import pytest

from stylegan_jax.runtime import outputs


def refused(check, *arguments):
    with pytest.raises(ValueError) as raised:
        check(*arguments)
    return str(raised.value)


def test_endings_of_files_are_obeyed(tmp_path):
    for name in ("a.png", "new/b.PNG"):
        path = str(tmp_path / name)
        assert outputs.file(path, "--out", (".png",)) == Path(path)
    for name, better in (("a.jpg", "a.png"), ("a", "a.png"), ("a.b.jpeg", "a.b.png")):
        message = refused(outputs.file, str(tmp_path / name), "--out", (".png",))
        assert message == (
            f"`--out` (={tmp_path / name}) must end in .png, the format of the "
            f"output; try --out={tmp_path / better}"
        )
    message = refused(outputs.file, "my map.jpg", "--out", (".png",))
    assert message.endswith("try --out='my map.png'")
    assert refused(outputs.new_directory, "my a.png", "--out").endswith("--out='my a'")
    assert outputs.file(str(tmp_path / "a"), "--out", (".jsonl", "")).name == "a"
    message = refused(outputs.file, "a.csv", "--out", (".jsonl", ""))
    assert "must end in .jsonl, the format" in message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder.png", f"{tmp_path}/new/"):
        message = refused(outputs.file, str(path), "--out", (".png",))
        assert message.endswith("is a folder; name a file in it that ends in .png")
    message = refused(outputs.new_directory, str(tmp_path / "file"), "--out")
    assert message.endswith("must be a folder, but it is a file")
    below = str(tmp_path / "file" / "a" / "b.png")
    for check in (outputs.new_directory, outputs.file):
        more = [(".png",)] if check is outputs.file else []
        path = below if more else below.removesuffix(".png")
        message = refused(check, path, "--out", *more)
        assert f"cannot be created: {tmp_path / 'file'} is not a folder" in message


@pytest.mark.parametrize("ending", [".png", ".ZIP", ".pkl", ".jsonl", ".tar"])
def test_a_folder_does_not_end_like_a_file(tmp_path, ending):
    message = refused(outputs.new_directory, str(tmp_path / f"out{ending}"), "--out")
    assert message.endswith(f"that of a file; try --out={tmp_path / 'out'}")
    (tmp_path / f"out{ending}").mkdir()  # but one that exists may be used
    assert outputs.new_directory(str(tmp_path / f"out{ending}"), "--out").is_dir()


def test_other_folders_may_have_any_name(tmp_path):
    for name in ("out", "v1.2", "a/b/c", "emoji.run"):
        path = tmp_path / name
        assert outputs.new_directory(str(path), "--out") == path
    assert list(tmp_path.iterdir()) == []


def test_input_files(tmp_path):
    (tmp_path / "file").touch()
    assert outputs.input_file(str(tmp_path / "file"), "--source") == tmp_path / "file"
    assert refused(outputs.check_input_file, tmp_path / "no", "--source") == (
        f"`--source` (={tmp_path / 'no'}) does not exist"
    )
    message = refused(outputs.input_file, str(tmp_path), "--source")
    assert message.endswith("must be a file, but it is a folder")
