"""The directory of compiled programs."""

import jax
import pytest

from stylegan_jax.runtime import compilation_cache


@pytest.fixture(autouse=True)
def unchanged():
    """Restore JAX's settings after each test."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_it_is_made_and_used(tmp_path):
    compilation_cache.use(str(tmp_path / "a" / "b"))
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_none_changes_nothing():
    before = jax.config.jax_compilation_cache_dir
    compilation_cache.use(None)
    assert jax.config.jax_compilation_cache_dir == before


def test_the_environment_takes_precedence(tmp_path):
    jax.config.update("jax_compilation_cache_dir", "/of/the/environment")
    compilation_cache.use_unless_set(str(tmp_path / "a"))
    assert jax.config.jax_compilation_cache_dir == "/of/the/environment"
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.use_unless_set(str(tmp_path / "a"))
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "a")


def test_one_that_cannot_be_made_is_told(tmp_path, capsys):
    before = jax.config.jax_compilation_cache_dir
    (tmp_path / "file").touch()
    compilation_cache.use(f"{tmp_path}/file/cache", "`run.compilation_cache`")
    assert jax.config.jax_compilation_cache_dir == before
    assert capsys.readouterr().out == (
        "WARNING: `run.compilation_cache` cannot be used, so every start compiles all "
        f"programs: {tmp_path}/file/cache: Not a directory\n"
    )
