"""A store for tests that several processes see: addresses store:///absolute/path name files on the disk."""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Store(LocalFileSystem):
    """Files on the disk, under a scheme that drit takes for a remote one."""

    protocol = "store"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path[len("store://") :] if str(path).startswith("store://") else path)


fsspec.register_implementation("store", Store, clobber=True)
