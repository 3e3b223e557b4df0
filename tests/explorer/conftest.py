"""A small network with classes and noise inputs, ready to draw pictures."""

import pytest

from stylegan_jax.explorer.renderer import Renderer
from tests.networks import small

CLASSES = ("a", "b")


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    made = Renderer(small.network("stylegan2", CLASSES))
    made.compile(lambda text: None)
    return made
