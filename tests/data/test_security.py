"""Nothing in the program runs what a file holds: docs/security.md, held by a look at every call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import drit

ROOT = Path(drit.__file__).parent
NEVER = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "yaml"}
LOADERS = {"load", "loads", "full_load", "unsafe_load", "load_all", "open", "Unpickler"}


def unsafe(source: str, place: str) -> Iterator[str]:
    """The calls of a module that could run what a file holds, or hand an image to any reader of Pillow."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {k.arg: ast.unparse(k.value) for k in node.keywords}
        module, _, last = name.rpartition(".")
        bad = (
            name in NEVER
            or (module in MODULES and last in LOADERS)
            or (name == "torch.load" and options.get("weights_only") != "True")
            or (name in ("np.load", "numpy.load") and options.get("allow_pickle") != "False")
            or options.get("allow_pickle") == "True"
            or options.get("shell") == "True"
            or (name.endswith("Image.open") and "formats" not in options)
            or (name.endswith("Image.open") and not place.startswith(("data/", "reports/")))
            or (name in ("Environment", "jinja2.Environment") and options.get("autoescape") != "True")
            or name.endswith("truetype")
        )
        if bad:
            yield name


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_call_runs_what_a_file_holds(file: Path) -> None:
    place = file.relative_to(ROOT).as_posix()
    new = list(unsafe(file.read_text(encoding="utf-8"), place))
    assert not new, f"drit/{place} calls {', '.join(new)}: see docs/security.md"


@pytest.mark.parametrize(
    "call",
    [
        "pickle.load(f)", "pickle.loads(b)", "pickle.Unpickler(f)", "joblib.load(p)", "yaml.load(f)",
        "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)", "np.load(p, allow_pickle=True)",
        "numpy.load(p)", "f(p, allow_pickle=True)", "eval(s)", "exec(s)", "subprocess.run(c, shell=True)",
        "os.system(c)", "Image.open(p)", "PIL.Image.open(p)", "Environment()", "Environment(autoescape=False)",
        "ImageFont.truetype(p)",
    ],
)  # fmt: skip
def test_the_look_finds_what_it_is_for(call: str) -> None:
    assert list(unsafe(f"x = {call}", "data/x.py"))


def test_the_look_passes_what_is_safe() -> None:
    for call in (
        "torch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)", "network.eval()", "json.load(f)",
        "Image.open(p, formats=['PNG'])", "Environment(autoescape=True)", "subprocess.run(['ls'])",
    ):  # fmt: skip
        assert not list(unsafe(f"x = {call}", "data/x.py")), call
    assert list(unsafe("Image.open(p, formats=['PNG'])", "inference/x.py")) == ["Image.open"]
