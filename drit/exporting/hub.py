"""`drit export RUN --format safetensors` and `--format hub`: weights, settings, and a README that explains them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drit.atomic import check_empty, write_atomically
from drit.bounded import resolved
from drit.errors import CheckpointError, DritError, UsageError
from drit.exporting.installed import UNKNOWN, check_installed, exported_folder
from drit.inference.translator import Translator
from drit.methods.registry import entry_of
from drit.reports.evaluation import rows
from drit.runs import pretrained
from drit.runs.checkpoint import find, load_meta, read_json, weights_sha256
from drit.runs.folder import RunFolder, run_of
from drit.runs.record import data_record
from drit.settings.schema import to_dict
from drit.version import VERSION

PACKAGES = ("huggingface_hub",)
_PROGRAM = __name__.partition(".")[0]
_LIMITS = """## Limits

An output looks like an image of the other domain. What it shows beyond the input is invented: it is no measurement, and
no evidence of what was in front of the camera. Images unlike those of the training give worse outputs.
"""


def export_weights(run: Path, out: Path, card: bool, licence: str = UNKNOWN, push: str = "") -> dict[str, Any]:
    """Write the weights that translation uses, the settings and a README to the folder `out`, whole or not at all.

    card: the README is a model card, with front matter and the figures of the run's evaluations. push: the repository
    of the Hugging Face Hub to upload the folder to, as OWNER/NAME. Returns what was written. Raises UsageError where
    `out` holds something, CheckpointError for what is no run, DritError where the disk or the hub refuses.
    """
    check_empty(out)
    if push:
        check_installed(PACKAGES, "--push")
        if push.count("/") != 1 or not all(push.split("/")):
            raise UsageError(f"--push {push}: name a repository as OWNER/NAME.")
    checkpoint = find(run)
    translator = Translator.load(run, "cpu", "float32")
    meta = load_meta(checkpoint)
    about = {"licence": licence, "run": {"weights_sha256": weights_sha256(checkpoint)}}
    with exported_folder(out) as folder:
        pretrained.save(folder, translator.method, translator.names, int(meta["step"]), about)
        text = model_card(translator, checkpoint, licence) if card else readme(translator, checkpoint, licence)
        write_atomically(folder / "README.md", text.encode())
    size = (out / pretrained.MODEL).stat().st_size
    result = {"out": str(out), "files": sorted(p.name for p in out.iterdir()), "bytes": size, "licence": licence}
    return result | ({"pushed": upload(out, push)} if push else {})


def upload(folder: Path, repository: str) -> str:
    """Upload a folder to the Hugging Face Hub, by its own library. Returns the address. Raises DritError where it
    refuses; the folder stays."""
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"Model of drit {VERSION}"))
    except Exception as error:  # the library raises many kinds: no network, no login, no right
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DritError(
            f"{folder} was written, but not uploaded to {repository}: {why} Log in (hf auth login), then upload it: "
            f"hf upload {repository} {folder}"
        ) from error


def readme(translator: Translator, checkpoint: Path, licence: str) -> str:
    """What a person needs who has the folder alone."""
    return (
        f"# Weights of a {translator.method.settings.method} model\n\n{_summary(translator, checkpoint)}\n"
        f"Licence of the weights: {licence}.\n\n{_use(translator)}\n{_layout(translator)}\n{_settings(translator)}"
    )


def model_card(translator: Translator, checkpoint: Path, licence: str) -> str:
    """A README.md with the front matter that the Hugging Face Hub reads."""
    method = translator.method.settings.method
    title = " to ".join(dict.fromkeys(translator.names.values())) or method
    front = {
        "license": licence,
        "library_name": _PROGRAM,
        "pipeline_tag": "image-to-image",
        "tags": ["image-to-image", "unpaired", "diverse", method],
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in front.items()]
    figures = _figures(checkpoint)
    return (
        "---\n" + "\n".join(lines) + f"\n---\n\n# {title}\n\n{_summary(translator, checkpoint)}\n"
        f"{_use(translator)}\n{_LIMITS}\n{_data(checkpoint)}\n{figures}\n{_layout(translator)}\n{_settings(translator)}"
    )


def _summary(translator: Translator, checkpoint: Path) -> str:
    method = translator.method
    able, meta = method.capabilities, load_meta(checkpoint)
    goes = ", ".join(f"{_name(translator, translator.source(to))} to {_name(translator, to)}" for to in able.directions)
    styles = f" Each image has many translations: a style is {able.style_dim} numbers." if able.style_dim else ""
    exemplar = " Styles can be taken from images." if able.exemplar and able.directions else ""
    text = f"Translates images: {goes}." if goes else "Draws images from codes."
    return (
        f"{text}{styles}{exemplar}\n\nMethod: {method.settings.method}, {entry_of(method.settings.method).summary}. "
        f"Trained for {meta['step']} iterations with drit {meta.get('versions', {}).get(_PROGRAM, VERSION)}.\n"
    )


def _name(translator: Translator, domain: str) -> str:
    name = translator.names.get(domain)
    return f"{domain} ({name})" if name and name != domain else domain


def _use(translator: Translator) -> str:
    able = translator.method.capabilities
    if not able.directions:
        return "## Use\n\nRead the tensors with any library for safetensors.\n"
    styles = ", styles=5, seed=0" if able.style_dim else ""
    return (
        "## Use\n\n```python\nfrom drit import Translator\nfrom PIL import Image\n\n"
        'translator = Translator.from_pretrained("FOLDER")  # this folder\n'
        f'images = translator.translate(Image.open("image.png"), to="{able.directions[-1]}"{styles})\n```\n'
    )


def _data(checkpoint: Path) -> str:
    """What the model learnt from, as the run recorded it; of an imported run nothing is known."""
    run = run_of(resolved(checkpoint))
    record = data_record(run) if run and RunFolder(run).data.is_file() else {}
    if not record:
        return "## Training data\n\nNot recorded.\n"
    lines = ["## Training data\n", "| domain | name | images | channels | bits |", "|---|---|---|---|---|"]
    for d, images in record.items():
        name = Path(str(images.get("source", ""))).name
        cells = (d, name, *(images.get(part, "?") for part in ("count", "channels", "depth")))
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _figures(checkpoint: Path) -> str:
    """The numbers of the run's evaluations that are of this checkpoint's weights."""
    run = run_of(resolved(checkpoint))
    weights, parts = weights_sha256(checkpoint), []
    for file in RunFolder(run).evaluations() if run else []:
        result = read_json(file, run)
        try:
            if result["run"]["weights_sha256"] != weights:
                continue
            lines = [f"Protocol `{file.parent.name.removeprefix('evaluation_')}`:\n"]
            lines += ["| direction | number | value | 95 % interval | real images |", "|---|---|---|---|---|"]
            lines += ["| " + " | ".join(row) + " |" for row in rows(result)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{file} is not a result of drit evaluate. Remove it, or evaluate again.") from error
        parts.append("\n".join(lines) + "\n")
    return "## Figures\n\n" + ("\n".join(parts) if parts else "Not evaluated.\n")


def _layout(translator: Translator) -> str:
    """How to read the files without drit."""
    lines = [
        "## Files\n",
        f"`{pretrained.MODEL}` holds the weights, by the names of torch modules. `{pretrained.CONFIG}` holds the",
        "method, its settings, the channels of each domain, and the SHA-256 of the weights.",
        "Images are (N, C, H, W), float32 in [-1, 1]: `x = v / 127.5 - 1` for 8 bits.\n",
        "| network | tensors | numbers |",
        "|---|---|---|",
    ]
    for name in pretrained.used_networks(translator.method):
        tensors = getattr(translator.method, name).state_dict()
        lines.append(f"| `{name}` | {len(tensors)} | {sum(t.numel() for t in tensors.values())} |")
    return "\n".join(lines) + "\n"


def _settings(translator: Translator) -> str:
    settings = to_dict(translator.method.settings)
    shown: dict[str, Any] = {
        name: settings[name] for name in ("preset", "batch", "network", "loss", "optim") if name in settings
    }
    shown["data"] = {name: settings["data"][name] for name in ("resize", "crop", "flip", "range")}
    return f"## Settings\n\n```json\n{json.dumps(shown, indent=2)}\n```\n"
