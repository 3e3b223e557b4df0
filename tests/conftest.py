"""Settings for all tests; they must not hide anything that users would see."""

import functools
import os
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

# Set before JAX is imported: keep all compiled programs between runs.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/stylegan_jax_tests/xla")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def pytest_collection_modifyitems(items):
    """Run the files of whole programs first: they take longest.

    Test processes then end at about the same time.
    """
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile the programs of a module with few optimizations."""
    from tests import tiny  # which imports JAX

    with tiny.quick_compilation():
        yield


@pytest.fixture
def run_main(monkeypatch, capsys):
    """Return a function that runs a command in this process and returns its output.

    `run_main(generate, "--workdir=x", "--out=y")` does what `python -m` does with the
    module, but raises its exceptions. `parse` is its parser of flags, if it has one.
    """
    from stylegan_jax.runtime import malloc

    def run(module, *arguments, parse=lambda argv, values: values(argv)):
        values = flags.FlagValues()
        argv = [module.__name__, *map(str, arguments)]
        with monkeypatch.context() as patch:
            patch.setattr(module, "FLAGS", values)
            kinds = ("string", "list", "integer", "enum", "float", "bool")
            for name in (*(f"DEFINE_{k}" for k in kinds), "mark_flags_as_required"):
                ours = functools.partial(getattr(flags, name), flag_values=values)
                patch.setattr(flags, name, ours)
            ours = functools.partial(
                config_flags.DEFINE_config_file, flag_values=values, sys_argv=argv
            )
            patch.setattr(config_flags, "DEFINE_config_file", ours)
            # It would concern all tests of this process.
            patch.setattr(malloc, "keep_freed_memory_on_cpu", lambda: None)
            module.define_flags()
            module.main(parse(argv, values))
        return capsys.readouterr().out

    return run
