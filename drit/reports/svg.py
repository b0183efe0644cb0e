"""A figure of matplotlib as SVG that stands in a page: small, and without anything that acts beyond itself."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURRENT_COLOUR = "#010203"  # in a figure it stands for the colour of the text around; the SVG says currentColor
CLASSES = {"curve", "level", "point", "span", "leader", "name"}  # gids of matplotlib that become classes


def inline_svg(figure: Figure, label: str) -> str:
    """A figure as SVG to stand in a page: without size, ids, style sheet or anything else that acts beyond it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = ElementTree.fromstring(buffer.getvalue())
    marks = {node.get("id"): node for node in drawn.iter() if _tag(node) == "path" and node.get("id")}
    attributes = {"viewBox": drawn.get("viewBox", ""), "role": "img", "aria-label": printable(label)}
    svg = ElementTree.Element("svg", attributes | {"stroke-linejoin": "round"})
    _copy(drawn, svg, marks, "")
    return ElementTree.tostring(svg, encoding="unicode")


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _copy(
    drawn: ElementTree.Element, into: ElementTree.Element, marks: Mapping[str | None, ElementTree.Element], name: str
) -> None:
    """Copy what is seen: paths and texts, without the groups around them. name: class of what is copied."""
    for node in drawn:
        tag = _tag(node)
        if tag == "g":
            _copy(node, into, marks, node.get("id", "") if node.get("id") in CLASSES else name)
            continue
        if tag not in ("path", "text", "use"):
            continue  # definitions, style sheet, metadata
        attributes = {"class": name} if name else {}
        style = _short_style(node.get("style", ""))
        if tag == "use":  # a mark is drawn in place: no id that another drawing of the page might have
            mark = marks[node.get("{http://www.w3.org/1999/xlink}href", "").removeprefix("#")]
            attributes |= {"d": _short_path(mark.get("d", "")), "transform": _moved(node)}
            style = _short_style(f"{mark.get('style', '')};{node.get('style', '')}")
        elif tag == "path":
            attributes["d"] = _short_path(node.get("d", ""))
            if style in ("", "fill:none") or not attributes["d"]:
                continue  # backgrounds
        else:
            attributes |= {key: _short_path(node.get(key, "0")) for key in ("x", "y") if node.get(key)}
            turned = node.get("transform", "")
            if turned and not turned.startswith("rotate(-0 "):
                attributes["transform"] = _short_path(turned)
        if style:
            attributes["style"] = style
        copied = ElementTree.SubElement(into, "path" if tag == "use" else tag, attributes)
        copied.text = node.text if tag == "text" else None


def _moved(node: ElementTree.Element) -> str:
    return f"translate({_short_path(node.get('x', '0'))} {_short_path(node.get('y', '0'))})"


def _short_path(text: str) -> str:
    """Coordinates to a tenth of a point, without needless blanks."""
    text = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), text)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()


def _short_style(style: str) -> str:
    """A style without what is the same everywhere, and with the colour of the page."""
    parts = dict(part.split(":", 1) for part in style.split(";") if ":" in part)
    cleaned = {key.strip(): value.strip() for key, value in parts.items()}
    for key in ("font-family", "font", "stroke-dashoffset", "stroke-linejoin"):
        cleaned.pop(key, None)
    if cleaned.get("stroke-linecap") == "square":
        del cleaned["stroke-linecap"]
    return ";".join(f"{k}:{v}" for k, v in cleaned.items()).replace(CURRENT_COLOUR, "currentColor")


def printable(text: str) -> str:
    """Text that an SVG may hold (no control characters), and that matplotlib does not take for a hidden label."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    return f"\u200a{text}" if text.startswith("_") else text
