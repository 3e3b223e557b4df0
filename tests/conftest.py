"""Settings for all tests; they must not hide anything that users would see."""

import gc
import os
from pathlib import Path

import pytest
from absl import flags

# Otherwise 3% of the time goes into collecting garbage among traced programs.
gc.set_threshold(50_000, 20, 50)

# Set before JAX is imported: keep compiled programs between runs.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/stylegan_jax_tests/xla")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


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
    module, but raises its exceptions.
    """
    from PIL import Image

    from stylegan_jax.runtime import malloc

    def run(module, *arguments):
        values = flags.FlagValues()
        argv = [module.__name__, *map(str, arguments)]
        with monkeypatch.context() as patch:
            patch.setattr(module, "FLAGS", values)
            # These would concern all tests of this process.
            patch.setattr(malloc, "keep_freed_memory_on_cpu", lambda: None)
            patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            module.COMMAND.define(values, argv)
            module.main(module.COMMAND.parse(argv, values))
        return capsys.readouterr().out

    return run
