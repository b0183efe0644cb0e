"""Pages: texts escaped, images embedded, nothing fetched, no markup in Python, templates in the wheel."""

from __future__ import annotations

import ast
import base64
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from drit import atomic
from drit.reports import pages
from drit.reports.gallery import Number, write_gallery
from drit.reports.pages import Note, Section, Table
from drit.reports.plots import Curves, Scatter, curves_svg, scatter_svg

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = {f"{n}.html" for n in ("base", "parts", "run", "evaluation", "comparison", "gallery", "doctor")}


def test_pages_escape_and_embed(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8))
    path = tmp_path / "new" / "page.html"
    write_gallery(
        path,
        "<script>x</script>",
        "a & b",
        [Number("n<", "1", "0 to 2")],
        [Section("one", "t<", image), Section('"two', notes=(Note("try --loss.kl 1 <b>", "now<"),))],
        "end<",
    )
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert all(text in page for text in ("<td>n&lt;</td>", "<p>t&lt;</p>", "end&lt;", "&#34;two"))
    assert "now&lt;</span>" in page and "try <code>--loss.kl</code> 1 &lt;b&gt;" in page
    (embedded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(embedded)))), np.asarray(image))
    assert "http" not in page and not re.search(r'(src|href)="(?!data:|#)', page)  # nothing is fetched


def test_charts_stand_in_a_page_side_by_side(tmp_path: Path) -> None:
    """No id of one drawing is that of another, even of the same one drawn twice; none acts beyond itself."""
    chart = curves_svg(Curves("up", {"a": [(0, 0), (1, 1)], "b": [(0, 1)]}, level=0.5))
    scatter = scatter_svg(Scatter({"one": (1, 1), "two": (1, 1)}, "x", "y", {"one": (0, 2)}))
    path = tmp_path / "page.html"
    write_gallery(path, "t", "", [], [Section("charts", charts=(chart, chart, scatter))])
    page = path.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert page.count("<svg") == 3 and len(ids) == len(set(ids)) and page.count("<style") == 1
    assert "http" not in page


def test_cells_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    table = Table(("<h>", ""), ((0.123456, 3), (True, "a<b"), ("", [1])))
    write_gallery(path, "t", "", [], [Section("one", tables=(table, Table(("empty",), ())))])
    page = path.read_text(encoding="utf-8")
    assert "<tr><th>&lt;h&gt;</th><th></th></tr>" in page and "empty" not in page
    assert '<tr><td class="number">0.1235</td><td class="number">3</td></tr>' in page
    assert "<tr><td>on</td><td>a&lt;b</td></tr>" in page and "<tr><td></td><td>[1]</td></tr>" in page


def test_a_missing_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="summary"):
        pages.write_page(tmp_path / "page.html", "gallery.html", {"title": "t", "sections": []})
    assert not list(tmp_path.iterdir())


def test_pages_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_gallery(path, "before", "", [], [])
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_gallery(path, "after", "", [], [])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_markup_in_python() -> None:
    """HTML, CSS and scripts live in the templates."""
    tag = re.compile(
        r"</?(html|body|div|span|p|br|h[1-6]|table|tr|t[dh]|section|nav|a|img|svg|path|script|style|code)\b[^<>]*>"
    )
    markup = {
        str(path.relative_to(ROOT)): match[0]
        for path in (ROOT / "drit").rglob("*.py")
        if (match := tag.search(path.read_text(encoding="utf-8")))
    }
    assert markup == {}


def test_reports_stand_on_runs_not_on_training() -> None:
    for path in (ROOT / "drit" / "reports").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith("drit.training")], path


def test_matplotlib_is_imported_when_a_plot_is_drawn() -> None:
    script = (
        "import sys; from drit.reports import comparison, curves, evaluation, gallery, pages, plots, run; "
        "assert 'matplotlib' not in sys.modules; plots.curves_svg(plots.Curves('t', {'': [(0, 1), (1, 1)]})); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_wheel_carries_the_templates(tmp_path: Path) -> None:
    """Built from a copy of what the build reads, so that it leaves nothing in the working tree."""
    pytest.importorskip("setuptools", reason="the wheel is built without a network")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for path in (ROOT / "drit").rglob("*"):
        if path.suffix in (".py", ".html"):
            copied = tmp_path / path.relative_to(ROOT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    command = "from setuptools.build_meta import build_wheel; print(build_wheel('wheel'))"
    done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheel").glob("drit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name.rpartition("/")[2] for name in archive.namelist() if "reports/templates/" in name}
    assert carried == TEMPLATES == {path.name for path in (ROOT / "drit" / "reports" / "templates").iterdir()}
