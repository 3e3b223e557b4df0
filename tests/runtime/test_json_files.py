"""A JSON file that cannot be read is named."""

import pytest

from stylegan_jax.runtime import json_files


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\0\0\0", "is empty"),  # as a file system leaves it after a crash
        (b'{"a": 1', "is damaged: Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b'{"a": "\xff"}', "is damaged: 'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "is damaged: maximum recursion depth exceeded"),
        (b"[1]", "is damaged: it must hold an object, and holds a list"),
        (b"null", "is damaged: it must hold an object, and holds null"),
        (b"3", "is damaged: it must hold an object, and holds a number"),
    ],
)
def test_damaged_files(tmp_path, content, problem):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError) as raised:
        json_files.read_object(tmp_path / "x.json", "restore it")
    assert str(raised.value).startswith(f"{tmp_path / 'x.json'} {problem}")
    assert str(raised.value).endswith("; restore it")


def test_intact_files(tmp_path):
    (tmp_path / "x.json").write_bytes('{"a": "日"}'.encode())
    assert json_files.read_object(tmp_path / "x.json", "") == {"a": "日"}
    with pytest.raises(ValueError, match="must be a file, but it is a folder"):
        json_files.read(tmp_path, "restore it")
    with pytest.raises(FileNotFoundError, match=r"no\.json"):
        json_files.read(tmp_path / "no.json", "")
