"""Examples and the container file: the ComfyUI nodes against a stub of that interface, and a Dockerfile whose words are
the program's."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import re
import sys
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.specifiers import SpecifierSet

import drit
from drit.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[1]


# A stub of comfy_api.latest: the names and arguments that its source has, nothing more.


@dataclass
class Output:
    io_type: str
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    is_output_list: bool = False


@dataclass
class Input:
    io_type: str
    id: str
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    lazy: bool | None = None


@dataclass
class StringInput(Input):
    default: str | None = None
    multiline: bool = False


@dataclass
class NumberInput(Input):
    default: float | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    control_after_generate: bool | None = None


def comfy_type(name: str, kind: type[Input] = Input) -> Any:
    def make_input(*args: Any, **words: Any) -> Input:
        return kind(name, *args, **words)

    def make_output(*args: Any, **words: Any) -> Output:
        return Output(name, *args, **words)

    return types.SimpleNamespace(Input=make_input, Output=make_output)


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    description: str = ""


class ComfyNode:
    def __init__(self) -> None:
        raise AssertionError("nodes of V3 are never instances")


class NodeOutput:
    def __init__(self, *args: Any) -> None:
        self.args = args


class ComfyExtension:
    pass


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The classes that the pack offers, by their id."""
    io = types.SimpleNamespace(
        ComfyNode=ComfyNode, Schema=Schema, NodeOutput=NodeOutput, Custom=comfy_type, Image=comfy_type("IMAGE"),
        String=comfy_type("STRING", StringInput), Int=comfy_type("INT", NumberInput),
        Float=comfy_type("FLOAT", NumberInput),
    )  # fmt: skip
    latest = types.ModuleType("comfy_api.latest")
    latest.ComfyExtension, latest.io = ComfyExtension, io  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy_api", types.ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    spec = importlib.util.spec_from_file_location("drit_nodes", ROOT / "examples" / "comfyui" / "drit_nodes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    extension = asyncio.run(module.comfy_entrypoint())
    assert isinstance(extension, ComfyExtension)
    yield {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}


def test_schemas_fit_their_functions(nodes: dict[str, Any]) -> None:
    """What ComfyUI relies on: inputs are the arguments of `execute`, optional ones have a default, ids are unique."""
    assert len(nodes) == 5
    for node in nodes.values():
        schema = node.define_schema()
        parameters = inspect.signature(node.execute).parameters
        assert [i.id for i in schema.inputs] == list(parameters)
        for one in schema.inputs:
            assert one.optional == (parameters[one.id].default is not inspect.Parameter.empty)
        assert schema.category == "drit" and schema.outputs


def test_a_workflow(nodes: dict[str, Any], run: Path) -> None:
    """Load, borrow, draw, mix, translate: what the translator gives, in ComfyUI's form of images."""

    def do(name: str, **inputs: Any) -> Any:
        (value,) = nodes[name].execute(**inputs).args
        return value

    assert nodes["DritLoad"].fingerprint_inputs(run=str(run)) == "step_00000006"
    model = do("DritLoad", run=str(run))
    assert do("DritLoad", run=str(run)) is model
    images, exemplars = torch.rand(2, 20, 24, 3), torch.rand(1, 20, 24, 3)
    borrowed = do("DritStyleOf", model=model, images=exemplars, domain="colour")
    assert torch.allclose(borrowed, model.style(exemplars[0].permute(2, 0, 1) * 2 - 1, "b"), atol=1e-5)
    drawn = do("DritRandomStyles", model=model, to="b", count=3, seed=4)
    assert torch.equal(drawn, model.sample(3, "b", 4))
    mixed = do("DritMix", first=drawn, second=borrowed, share=0.25)
    assert torch.allclose(mixed, 0.75 * drawn + 0.25 * borrowed)
    with pytest.raises(ValueError, match="cannot be mixed"):
        do("DritMix", first=drawn, second=drawn[:2], share=0.5)
    out = do("DritTranslate", model=model, images=images, to="b", styles=mixed)
    assert out.shape == (6, 20, 24, 3) and 0 <= float(out.min()) and float(out.max()) <= 1
    grey = images[1].mean(2)[None] * 2 - 1
    wanted = model.translate(grey, "b", mixed)[2]
    assert torch.allclose(out[5], (wanted.permute(1, 2, 0) + 1) / 2, atol=0.02)  # bfloat16, in a batch
    assert do("DritTranslate", model=model, images=images, to="grey").shape == (2, 20, 24, 3)


# The container


def words_of(instruction: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(rf"^{instruction} (.*)$", text, re.M)
    assert found, instruction
    words: list[str] = json.loads(found[1][found[1].index("[") :])
    return words


def test_the_container_runs_commands_that_exist() -> None:
    program, *words = words_of("ENTRYPOINT")
    assert program == "drit"
    values = build_parser().parse_all([*words, *words_of("CMD")])
    assert vars(values)["settings:host"] == "0.0.0.0" and values.models == ["/run-folder"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"EXPOSE {vars(values)['settings:port']}\n" in text
    for flags in re.findall(r"drit (/run-folder .*)$", text, re.M):
        build_parser().parse_all(["serve", *flags.split()])
    assert f":{vars(values)['settings:port']}/health" in words_of("HEALTHCHECK")[-1]
    compile(words_of("HEALTHCHECK")[-1], "Dockerfile", "exec")


def test_the_container_gets_what_it_copies() -> None:
    """Each file that is copied is there and passes .dockerignore; extras exist; the user is not root."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    passed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.M) for word in line.split()[:-1]]
    assert copied and set(copied) == passed and all((ROOT / name).exists() for name in copied)
    extra = re.search(r"\.\[(\w+)\]", text)
    assert extra and f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r"^USER (?!root)", text, re.M) and drit.__version__
    assert text.index("\nARG PIP_EXTRA_INDEX_URL\n") < text.index("\nRUN pip ")  # pip reads it from its environment
    base = re.search(r"^FROM python:(\d+\.\d+)-slim$", text, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert base and SpecifierSet(project["requires-python"]).contains(base[1])
