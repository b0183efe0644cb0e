"""The settings of the service, which are the flags of `drit serve` and `drit studio`. Imports no torch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Interval

from drit.errors import UsageError
from drit.settings.schema import NonNegative, Positive, setting

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    bytes: Positive = setting(32 << 20, "bytes of a request, images and fields together")
    upload_pixels: Positive = setting(40_000_000, "pixels of an uploaded image, before it is scaled by 'size'")
    pixels: Positive = setting(4_200_000, "pixels of an image that is translated as a whole, after 'size' scaled it")
    strip_pixels: NonNegative = setting(
        40_000_000, "pixels of a larger image, which is translated in strips; 0: none is"
    )
    styles: Positive = setting(64, "styles of one request")
    seconds: Annotated[float, Gt(0)] = setting(120.0, "seconds in which a request must be answered")
    strip_seconds: Annotated[float, Gt(0)] = setting(1800.0, "seconds for an image that is translated in strips")
    upload_seconds: Annotated[float, Gt(0)] = setting(30.0, "seconds that a client may take to send a request")
    queue: Positive = setting(64, "requests that are worked on or wait; others are told to come back (429)")
    cache: NonNegative = setting(512, "MiB of encoded images that are kept for further styles")


@dataclass(frozen=True)
class ServeSettings:
    """Where the service listens, who may use it, and how much."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in")
    port: Annotated[int, Interval(ge=0, le=65535)] = setting(8000, "port to listen on; 0: any free one")
    workers: Annotated[int, Interval(ge=1, le=64)] = setting(
        1, "processes that answer, each with models, cache and limits of its own"
    )
    key_file: str = setting("", "file whose first line is the key that every request must carry")
    cors: tuple[str, ...] = setting((), "origins whose web pages may call the service, such as https://example.org")
    limit: Limits = setting(Limits(), "limits")

    @property
    def only_this_machine(self) -> bool:
        """Whether the service listens on this machine alone."""
        return self.host in LOOPBACK


def check_installed() -> None:
    """Raises UsageError, with the line that installs them, where packages of the extra are missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The service needs packages that are not installed: {', '.join(missing)}. Install them: pip install "
            "'drit[serve]'"
        )
