"""A text of this program in an image file: an iTXt chunk of a PNG, the XMP packet of a WebP, TIFF or JPEG, the comment
of a GIF.

The pixels are not touched, and other programs pass over it. Reading one is safe: the text is cut out by its marks, and
no XML is interpreted.
"""

from __future__ import annotations

import html
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import tifffile

from drit.data.containers import by_pillow, opened

KEYWORD = "drit.state"  # of the chunk, and what a comment begins with
XMP = 700  # a TIFF tag
KEPT_IN = (".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")  # endings of files that hold one
_MAX_PACKET = 1 << 20
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:drit="urn:drit:1#"><drit:state>{}</drit:state></rdf:Description></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="r"?>'
)
_STATE = re.compile(rb"<drit:state>([^<]*)</drit:state>")


def packet(note: str) -> bytes:
    """An XMP packet that holds the note."""
    return _PACKET.format(html.escape(note, quote=False)).encode()


def comment(note: str) -> bytes:
    """A comment of a GIF that holds the note."""
    return f"{KEYWORD} {note}".encode()


def png_chunk(note: str) -> bytes:
    """A PNG chunk that holds the note, uncompressed."""
    data = KEYWORD.encode() + b"\0\0\0\0\0" + note.encode()
    return struct.pack(">I", len(data)) + b"iTXt" + data + struct.pack(">I", zlib.crc32(b"iTXt" + data))


def read_note(path: Path) -> str:
    """The note in an image file; empty where there is none. Raises DataError for a file that is no image."""
    with opened(path) as (file, content):
        found: Any = b""
        if content == "TIFF":
            with tifffile.TiffFile(file) as tiff:
                tag = tiff.pages.first.tags.get(XMP)
                found = tag.value if tag is not None and tag.count <= _MAX_PACKET else b""
        elif content in ("PNG", "WEBP", "JPEG"):
            with by_pillow(file, content) as image:
                found = image.info.get(KEYWORD if content == "PNG" else "xmp", b"")
        elif content == "GIF":
            with by_pillow(file, content) as image:
                said = image.info.get("comment", b"")[:_MAX_PACKET]
                found = said[len(start) :].decode("utf-8", "replace") if said.startswith(start := comment("")) else b""
    if isinstance(found, bytes):
        match = _STATE.search(found[:_MAX_PACKET])
        found = html.unescape(match[1].decode("utf-8", "replace")) if match else ""
    return str(found)
