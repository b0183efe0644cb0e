"""The notebooks of docs/notebooks run from top to bottom, in a kernel of their own and a fresh folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    stored = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [shown(cell) for cell in cells] == [shown(cell) for cell in stored]


def shown(cell: Any) -> list[bool]:
    """Of each result of a cell, whether it is an image."""
    return ["image/png" in output.data for output in cell.outputs if output.output_type == "execute_result"]


def test_there_are_notebooks_with_outputs() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["adaptation", "two_folders"]
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        assert any(cell.get("outputs") for cell in cells)
        assert not any(output.output_type == "error" for cell in cells for output in cell.get("outputs", ()))
