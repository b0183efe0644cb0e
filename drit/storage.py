"""Inputs and outputs at addresses such as s3://bucket/folder, by fsspec.

What is read is copied to a temporary folder of the machine first. What is written goes up as soon as it is whole, file
by file: a store shows an object whole or not at all. Addresses of the schemes file:// and local:// are paths as any
other.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from drit.errors import DataError, DritError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_LOCAL = ("file", "local")


def is_remote(name: str) -> bool:
    """Whether a name is an address that fsspec resolves, and no path."""
    return "://" in name and name.partition("://")[0] not in _LOCAL


class Folder:
    """A folder to write to, on a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_shared(self, name: str) -> None:
        """Raises DritError where a file that the command wrote first is not there: a worker on another machine has
        another folder of this name, and what it writes would be lost."""
        if not (self.path / name).exists():
            raise DritError(
                f"{self.path} on {platform.node()} is not the folder that the command writes to. Give --out a folder "
                "that all machines share, or an address such as s3://bucket/folder."
            )

    def publish(self, path: Path) -> None:
        """Tell that a file under `path` is whole."""

    def remove(self, path: Path) -> None:
        """Remove a file under `path`, or a folder with all that is in it, if it is there."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def pull(self) -> None:
        """Have all files under `path` that were published, by any process."""

    def publish_all(self) -> None:
        """Tell that every file under `path` is whole."""


def folder_of(out: Path | Folder) -> Folder:
    """A folder to write to."""
    return out if isinstance(out, Folder) else Folder(out)


class RemoteFolder(Folder):
    """A folder at an address, and its copy at `path`.

    A process that this is pickled to keeps no copy of what it published.
    """

    def __init__(self, path: Path, address: str, system: Any, root: str) -> None:
        """system: fsspec's file system of the address. root: the place in it."""
        super().__init__(path)
        self.address = address.rstrip("/")
        self.system = system
        self.root = root.rstrip("/")
        self._keep = True

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_keep": False}

    def check_shared(self, name: str) -> None:
        """Any machine reaches the address."""

    def place(self, path: Path) -> str:
        """Where a file under `path` lies in the file system."""
        return f"{self.root}/{path.relative_to(self.path).as_posix()}"

    def publish(self, path: Path) -> None:
        """Send a file. Raises DritError where the store refuses."""
        try:
            _send(self.system, path, self.place(path))
        except Exception as error:  # each store has exceptions of its own
            raise DritError(
                f"Could not write {self.address}/{path.relative_to(self.path).as_posix()}: {_words(error)} "
                "Check that the folder may be written to, and give the command again."
            ) from error
        if not self._keep:
            path.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """As `Folder.remove`, of copy and original. Raises DritError where the store refuses."""
        super().remove(path)
        try:
            if self.system.exists(self.place(path)):
                self.system.rm(self.place(path), recursive=True)
        except Exception as error:
            raise DritError(f"Could not remove {self.address}: {_words(error)} Give the command again.") from error

    def pull(self) -> None:
        """Copy what is not here yet. Raises DataError where the store does not give it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            for place in self.system.find(self.root) if self.system.exists(self.root) else ():
                name = place[len(self.root) :].lstrip("/")
                if ".." in name.split("/"):  # stores take any name
                    raise DataError(f"{self.address} holds a name that leads out of it: {name!r}. Remove that object.")
                if name and not (self.path / name).exists():
                    _copy(self.system, place, self.path / name)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{self.address} cannot be read: {_words(error)}") from error

    def publish_all(self) -> None:
        """Send every file that is here and not hidden. Raises as `publish` does."""
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                self.publish(path)


class Places:
    """The inputs and outputs of one command: addresses become local paths for the time of a `with` block.

    An error that leaves the block, and what `shown` is given, names addresses where it named local copies.
    """

    def __init__(self) -> None:
        self._temporary = ""
        self._folders: list[RemoteFolder] = []  # inputs of workers
        self._copies: dict[str, str] = {}  # addresses by the paths of their copies

    def __enter__(self) -> Places:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DritError):
            error.args = tuple(self.shown(part) for part in error.args)
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def read(self, name: str, by_workers: bool = True) -> str:
        """The local path of an input: a file, a folder, or FILE.npz:KEY.

        by_workers: whether the workers of an engine read it too, perhaps on other machines.

        Raises UsageError for an address that cannot be used, DataError where nothing is.
        """
        if not is_remote(name):
            return _path(name)
        system, root = _opened(name)
        key = ""
        try:
            if not system.exists(root):
                file, _, last = root.rpartition(":")
                if not (file and "/" not in last and system.isfile(file)):
                    raise FileNotFoundError
                root, key = file, f":{last}"
            single = system.isfile(root)
        except FileNotFoundError:
            raise DataError(f"There is no file or folder {name}. Check the bucket and the path in it.") from None
        except Exception as error:
            raise DataError(f"{name} cannot be read: {_words(error)}") from error
        address = name.rstrip("/")[: len(name.rstrip("/")) - len(key)]
        folder = self._new()
        if single:
            target = folder / Path(root).name
            source = RemoteFolder(target, address, system, root)
        else:
            target = folder / (Path(root).name or "root")
            source = RemoteFolder(target, address, system, root)
        _fetch(source, single)
        if by_workers:
            self._folders.append(source)
        self._copies[str(target)] = address
        return f"{target}{key}"

    def write(self, name: str) -> Folder:
        """A folder to write to. Of one at an address, the copy has what is there already.

        Raises as `read` does.
        """
        if not is_remote(name):
            return Folder(Path(_path(name)))
        system, root = _opened(name)
        folder = RemoteFolder(self._new() / (Path(root).name or "root"), name, system, root)
        self._copies[str(folder.path)] = folder.address
        folder.pull()
        return folder

    def shown(self, value: Any) -> Any:
        """A text, or texts in lists and dictionaries, with the addresses of what was copied."""
        if not self._copies:
            return value
        if isinstance(value, str):
            for copy, address in self._copies.items():
                value = value.replace(copy, address)
            return value
        if isinstance(value, dict):
            return {self.shown(name): self.shown(entry) for name, entry in value.items()}
        return [self.shown(entry) for entry in value] if isinstance(value, (list, tuple)) else value

    def anywhere(self, work: Callable[[Task], Result]) -> Callable[[Task], Result]:
        """Work that also finds the inputs on another machine: they are copied there when the first task begins."""
        return _Anywhere(work, tuple(self._folders)) if self._folders else work

    def _new(self) -> Path:
        self._temporary = self._temporary or tempfile.mkdtemp(prefix="drit-")
        return Path(self._temporary, str(len(self._copies)))


class _Anywhere:
    """Work on copies of folders."""

    def __init__(self, work: Callable[[Any], Any], folders: tuple[RemoteFolder, ...]) -> None:
        self._work = work
        self._folders = folders
        self._complete = False

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_complete": False}

    def __call__(self, task: Any) -> Any:
        if not self._complete:
            for folder in self._folders:
                if not folder.path.exists():
                    _fetch(folder, folder.system.isfile(folder.root))
            self._complete = True
        return self._work(task)


def _path(name: str) -> str:
    """A path, of which the scheme file:// is taken away."""
    scheme, separator, rest = name.partition("://")
    return rest if separator and scheme in _LOCAL else name


def _opened(name: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the place in it. Raises UsageError where there is none."""
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    scheme = name.partition("://")[0]
    try:
        return url_to_fs(name)
    except ImportError as error:
        known = known_implementations.get(scheme, {})
        package = known.get("class", "").partition(".")[0]
        if package in ("", "fsspec"):  # the file system comes with fsspec, what it stands on does not
            package = getattr(error.__cause__ or error, "name", None) or scheme
        raise UsageError(
            f"{name}: the scheme {scheme}:// needs a package that is not installed. Install it: pip install {package}"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{name}: the scheme {scheme}:// is not known to fsspec. Known are s3, gs, az, hf, sftp and others; "
            "file:// or a path names a local folder."
        ) from error
    except Exception as error:
        raise UsageError(f"{name} cannot be used: {_words(error)}") from error


def _fetch(folder: RemoteFolder, single: bool) -> None:
    """Copy an input, a file or a folder. Raises DataError where the store does not give it."""
    if not single:
        return folder.pull()
    try:
        _copy(folder.system, folder.root, folder.path)
    except Exception as error:
        raise DataError(f"{folder.address} cannot be read: {_words(error)}") from error


def _copy(system: Any, place: str, path: Path) -> None:
    """Copy a file of a store to a local path, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    system.get_file(place, str(temporary))
    os.replace(temporary, path)


def _send(system: Any, path: Path, place: str) -> None:
    """Copy a local file to a store, whole or not at all: fsspec's transaction shows it at its end."""
    system.makedirs(place.rpartition("/")[0], exist_ok=True)
    with system.transaction, system.open(place, "wb") as target, open(path, "rb") as source:
        shutil.copyfileobj(source, target, 16 << 20)


def _words(error: Exception) -> str:
    """What an exception of a store says, as a sentence."""
    text = str(error).strip() or type(error).__name__
    return text if text.endswith(".") else f"{text}."
