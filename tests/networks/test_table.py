"""Tables of layers."""

import jax
import pytest

from stylegan_jax import models
from stylegan_jax.networks import table
from tests import tiny
from tests.networks import small


@pytest.mark.parametrize("classes", [(), ("a", "b")])
@pytest.mark.parametrize("family", ["stylegan1", "stylegan2"])
def test_every_variable_is_counted_once(family, classes):
    g = small.network(family, classes)
    rows = table.rows(g.generator)
    sizes = {
        name: sum(x.size for x in jax.tree.leaves(tree))
        for name, tree in g.variables.items()
    }
    assert sum(row.parameters for row in rows) == sizes["params"]
    assert sum(row.buffers for row in rows) == sizes["noise"] + sizes["stats"]
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)


def test_rows_of_stylegan2():
    rows = {row.name: row for row in table.rows(small.network("stylegan2").generator)}
    row = rows["blocks_1.conv0"]
    # 3x3 kernel, bias, noise strength; affine of w.
    assert row.parameters == 9 * 16 * 16 + 16 + 1 + (8 * 16 + 16)
    assert (row.buffers, row.shape, row.dtype) == (64, "[N, 8, 8, 16]", "float32")
    assert (rows["w_avg"].parameters, rows["w_avg"].buffers) == (0, 8)


def test_a_discriminator_and_the_text():
    e = tiny.experiment(tiny.STYLEGAN2)
    _, discriminator = models.build(e.model, e.data, 0)
    rows = table.rows(discriminator)
    assert rows[-1].name == "dense1" and rows[-1].shape == "[N, 1]"
    lines = table.text("Discriminator", rows).splitlines()
    assert lines[0].split() == [
        *("Discriminator", "Parameters", "Buffers", "Output", "shape", "Datatype")
    ]
    total = sum(row.parameters for row in rows)
    assert lines[-1].split() == ["Total", f"{total:,}", "-", "-", "-"]


def test_nothing_is_compiled(monkeypatch):
    def compiled(*args, **kwargs):
        raise AssertionError("a program was compiled")

    monkeypatch.setattr(jax._src.compiler, "backend_compile_and_load", compiled)
    table.rows(small.network("stylegan2").generator.clone(resolution=32))
