"""Where results go is known before they are there."""

import pytest

from stylegan_jax.metrics import records
from stylegan_jax.runtime import storage


def test_a_file_that_can_be_written_is_left_alone(tmp_path):
    target = storage.open_path(tmp_path / "metrics.jsonl")
    records.check_writable(target)
    assert list(tmp_path.iterdir()) == []
    target.write_text("line\n")
    records.check_writable(target)
    assert target.read_text() == "line\n"


@pytest.mark.parametrize("name", ["", "missing/metrics.jsonl", "file/metrics.jsonl"])
def test_others_are_told(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="can't be written to .*; give another file"):
        records.check_writable(storage.open_path(tmp_path / name))
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_buckets_are_probed_beside_the_file(tmp_path, monkeypatch):
    target = storage.open_path(tmp_path / "metrics.jsonl")
    missing = storage.open_path(tmp_path / "missing" / "x.jsonl")
    target.write_text("line\n")
    monkeypatch.setattr(storage, "scheme_of", lambda path: "gs")
    records.check_writable(target)
    assert [x.name for x in tmp_path.iterdir()] == ["metrics.jsonl"]
    with pytest.raises(ValueError, match="can't be written"):
        records.check_writable(missing)
