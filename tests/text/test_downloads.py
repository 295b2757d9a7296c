"""The real download path against a web server on loopback: archives with pinned hashes, and Gutenberg's books."""

from __future__ import annotations

import hashlib
import socket
import zipfile
from pathlib import Path

import pytest

from bytelap import BytelapError
from bytelap.text.corpora.archives import ARCHIVES, Archive
from bytelap.text.corpora.download import DownloadConfig
from bytelap.text.corpora.gutenberg import GutenbergConfig, load_gutenberg

BODIES = {
    "11": "Alice was beginning to get very tired",
    "84": "You will rejoice to hear",
    "1342": "It is a truth",
    "219": "The Nellie, a cruising yawl",
}


def _put_zip(site, english: bytes) -> Archive:
    """A small zip on the site, and what a built-in corpus of it would look like."""
    file = site.directory / "small.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small", english[:100_001])
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Archive("small", "http://nowhere.invalid", "small.zip", digest, "none", "for tests", member="small")


def test_zip_is_downloaded_checked_and_cut_in_90_5_5(site, english: bytes, cache: Path):
    archive = _put_zip(site, english)
    corpus = archive.load(DownloadConfig(mirror=site.url + "/"))
    splits = {name: split.data.tobytes() for name, split in corpus.splits.items()}
    assert splits == {"train": english[:90_000], "validation": english[90_000:95_000], "test": english[95_000:100_001]}
    assert [len(split.names) for split in corpus.splits.values()] == [1, 1, 1]
    again = archive.load(DownloadConfig(mirror="http://127.0.0.1:9"))
    assert again.hash == corpus.hash
    assert site.requests == ["/small.zip"]


def test_plain_file_is_cut_as_well(site, english: bytes):
    (site.directory / "input.txt").write_bytes(english[:2_000])
    digest = hashlib.sha256(english[:2_000]).hexdigest()
    plain = Archive("plain", site.url, "input.txt", digest, "none", "for tests")
    assert plain.load(DownloadConfig()).splits["test"].data.tobytes() == english[1_900:2_000]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name)
def test_wrong_hash_is_refused_and_leaves_nothing(archive: Archive, site, leftovers):
    (site.directory / archive.file).write_bytes(b"something else")
    with pytest.raises(BytelapError) as error:
        archive.load(DownloadConfig(mirror=site.url))
    assert f"does not have the expected SHA-256 {archive.sha256}: it was not kept" in str(error.value)
    assert "\n" not in str(error.value)
    assert leftovers() == []


def test_missing_file_and_dead_server_are_one_sentence(site, cache: Path, leftovers):
    tiny = next(archive for archive in ARCHIVES if archive.name == "tinyshakespeare")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for mirror, reason in ((site.url, "404"), (dead, "refused")):
            with pytest.raises(BytelapError) as error:
                tiny.load(DownloadConfig(mirror=mirror))
            assert reason in str(error.value)
            assert f"put the file at {cache / 'downloads' / 'tinyshakespeare.txt'}" in str(error.value)
            assert "\n" not in str(error.value)
    assert leftovers() == []


def test_file_put_into_the_cache_by_hand_is_used_if_it_is_the_right_one(site, english: bytes, cache: Path):
    archive = _put_zip(site, english)
    (cache / "downloads").mkdir(parents=True)
    target = cache / "downloads" / "small.zip"
    target.write_bytes((site.directory / "small.zip").read_bytes())
    archive.load(DownloadConfig(mirror="http://127.0.0.1:9"))
    assert site.requests == []


def test_damaged_download_in_the_cache_is_fetched_again(site, english: bytes, cache: Path):
    archive = _put_zip(site, english)
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "small.zip").write_bytes(b"cut sho")
    assert len(archive.load(DownloadConfig(mirror=site.url)).splits["train"]) == 90_000


def _put_book(site, book: str, body: str | None = None, marks: bool = True) -> None:
    directory = site.directory / book
    directory.mkdir(exist_ok=True)
    text = BODIES[book] if body is None else body
    start = f"*** START OF THE PROJECT GUTENBERG EBOOK {book} ***" if marks else ""
    end = f"*** END OF THE PROJECT GUTENBERG EBOOK {book} ***" if marks else ""
    header = f"\ufeffThe Project Gutenberg eBook\n\nTitle: Book {book}\n"
    whole = f"{header}{start}\n\n\n{text}\nand so on.\n\n\n{end}\nlicence\n"
    (directory / f"pg{book}.txt").write_text(whole, encoding="utf-8", newline="\r\n")


@pytest.fixture
def shelf(site):
    for book in BODIES:
        _put_book(site, book)
    return site


def _config(site, **options: str) -> GutenbergConfig:
    return GutenbergConfig(ids="11+84+1342+219", mirror=site.url, **options)


def test_gutenberg_takes_bodies_and_holds_out_the_last_two(shelf):
    corpus = load_gutenberg(_config(shelf))
    assert list(corpus.splits["train"].names) == ["Book 11 (Gutenberg 11)", "Book 84 (Gutenberg 84)"]
    assert list(corpus.splits["validation"].names) == ["Book 1342 (Gutenberg 1342)"]
    assert corpus.splits["test"].document(0) == b"The Nellie, a cruising yawl\nand so on.\n"
    assert corpus.name == "gutenberg:11+84+1342+219"


def test_gutenberg_splits_can_be_named(shelf):
    corpus = load_gutenberg(_config(shelf, validation="11", test="84+219"))
    assert [len(split.names) for split in corpus.splits.values()] == [1, 1, 2]
    assert list(corpus.splits["train"].names) == ["Book 1342 (Gutenberg 1342)"]


def test_gutenberg_second_start_asks_nobody(shelf):
    first = load_gutenberg(_config(shelf))
    asked = len(shelf.requests)
    assert load_gutenberg(_config(shelf)).hash == first.hash
    assert len(shelf.requests) == asked == len(BODIES)


def test_gutenberg_header_may_change_but_the_body_may_not(shelf, cache: Path):
    first = load_gutenberg(_config(shelf))
    for file in (cache / "downloads").iterdir():
        file.unlink()
    changed = shelf.directory / "84" / "pg84.txt"
    changed.write_bytes(changed.read_bytes().replace(b"licence", b"new licence"))
    again = load_gutenberg(GutenbergConfig(ids="11+219+84", mirror=shelf.url))
    assert again.splits["test"].document(0) == first.splits["train"].document(1)

    _put_book(shelf, "84", "You will be sorry to hear")
    (cache / "downloads" / "pg84.txt").unlink()
    with pytest.raises(BytelapError, match=r"book 84 .* has changed since .* not kept; to accept .*84.sha256"):
        load_gutenberg(GutenbergConfig(ids="1342+219+84", mirror=shelf.url))
    assert not (cache / "downloads" / "pg84.txt").exists()


def test_gutenberg_file_damaged_in_the_cache_is_fetched_again(shelf, cache: Path):
    load_gutenberg(_config(shelf))
    (cache / "downloads" / "pg84.txt").write_bytes(b"rubbish")
    corpus = load_gutenberg(GutenbergConfig(ids="1342+219+84", mirror=shelf.url))
    assert corpus.splits["test"].document(0).startswith(b"You will rejoice")


def test_gutenberg_page_without_markers_is_refused(shelf, leftovers):
    _put_book(shelf, "11", marks=False)
    with pytest.raises(BytelapError, match=r"book 11 .* no START and END markers .* not kept"):
        load_gutenberg(_config(shelf))
    assert leftovers() == []
