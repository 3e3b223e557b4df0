"""The notebooks run from top to bottom."""

import json
import os
import subprocess
import sys

import pytest

from tests.tiny import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").iterdir()))
def test_it_runs(name, tmp_path):
    """Its code cells are one program; each must end with a statement of its own."""
    content = json.loads((ROOT / "notebooks" / name).read_text())
    cells = [
        "".join(cell["source"])
        for cell in content["cells"]
        if cell["cell_type"] == "code"
    ]
    assert len(cells) > 5
    program = tmp_path / "notebook.py"
    program.write_text("\n\n".join(cells))
    done = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
