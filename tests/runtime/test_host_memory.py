"""The memory that Linux and the limits of containers leave."""

import pytest

from stylegan_jax.runtime import host_memory


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(host_memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(host_memory, "CGROUP", tmp_path)
    return tmp_path


def test_unknown(files):
    assert host_memory.available_bytes() is None


def test_the_smaller_limit_holds(files):
    (files / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:   50 kB\n")
    assert host_memory.available_bytes() == 50 * 1024
    (files / "memory.max").write_text("max\n")
    (files / "memory.current").write_text("1000\n")
    assert host_memory.available_bytes() == 50 * 1024
    (files / "memory.max").write_text("4000\n")
    assert host_memory.available_bytes() == 3000
    (files / "memory.current").write_text("5000\n")
    assert host_memory.available_bytes() == 0
