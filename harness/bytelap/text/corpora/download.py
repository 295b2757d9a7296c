"""Downloads with `pooch`, checked against a pinned hash, whole in the cache or not there at all."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bytelap.errors import BytelapError
from bytelap.text.cache import building, cache_directory, file_sha256
from bytelap.text.corpus import CorpusConfig


class DownloadConfig(CorpusConfig):
    """Options of every downloaded corpus."""

    mirror: str | None = Field(
        None, pattern=r"^https?://\S+$", description="http(s) URL of the directory to download from"
    )


def download(url: str, name: str, sha256: str | None = None) -> Path:
    """The file `name` in the cache's downloads, fetched from `url` unless it is there (or was put there by hand).

    Raises:
        BytelapError: no network, or a file whose SHA-256 is not the pinned one; nothing stays in the cache.
    """
    target = cache_directory() / "downloads" / name
    if target.exists() and sha256 in (None, file_sha256(target)):
        return target
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        with building(target.parent) as temporary:
            pooch.retrieve(url, f"sha256:{sha256}" if sha256 else None, fname=name, path=temporary)
            (temporary / name).replace(target)
    except OSError as error:  # of the disk or, derived from it, of requests
        raise BytelapError(
            f"{name} is not cached and could not be downloaded from {url} ({_reason(error)}): "
            f"run again with a network, give the option `mirror`, or put the file at {target}"
        ) from error
    except ValueError as error:
        raise BytelapError(
            f"the file at {url} does not have the expected SHA-256 {sha256}: it was not kept; "
            f"give the option `mirror`, or put the right file at {target}"
        ) from error
    return target


def _reason(error: OSError) -> str:
    """The innermost cause in a few words; requests wraps several layers of representation around it."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return " ".join(str(cause).split())[:200] or type(cause).__name__
