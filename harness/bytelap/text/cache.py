"""The cache on disk: where it is, and how files and directories appear in it whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_BUILDING = ".building-"
_STALE_SECONDS = 24 * 3600.0  # what a killed process left behind is removed after a day


def cache_directory() -> Path:
    """The directory in `BYTELAP_CACHE`, else the user's cache directory; may not exist yet."""
    chosen = os.environ.get("BYTELAP_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("bytelap", appauthor=False))


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that a reader sees the old one, the new one or none, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_BUILDING, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def building(parent: Path) -> Iterator[Path]:
    """A fresh directory inside `parent` that is gone afterwards, unless `install` moved it into place."""
    parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(parent)
    temporary = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def install(built: Path, final: Path, intact: Callable[[Path], bool]) -> None:
    """Rename the directory `built` to `final`; if another process was first, its copy stays.

    Args:
        built: complete directory on the same file system, its files already on disk.
        final: its name from now on.
        intact: whether an existing `final` can be trusted; a broken one is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            built.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if intact(final):
                return
            broken = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=final.parent))
            with contextlib.suppress(FileNotFoundError):  # another process is replacing it, too
                final.rename(broken)
            shutil.rmtree(broken, ignore_errors=True)
        else:
            _sync_directory(final.parent)
            return


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(parent: Path) -> None:
    for path in parent.glob(f"{_BUILDING}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
