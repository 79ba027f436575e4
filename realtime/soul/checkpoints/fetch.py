"""A known checkpoint from the Hugging Face hub into a folder: resumed, and checked to the last bit.

huggingface_hub asks, downloads and shows its progress. Its own `hf_hub_download` throws a half file
away (since 1.0), so that files of 10 GB would start over: here the half one is kept, and its
`http_get` goes on behind it. Each file is compared with the hashes that the hub, the catalogue and
an earlier download of the same revision tell. It knows no licences: who calls has seen to them.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from huggingface_hub import HfApi, errors, get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from soul.checkpoints.catalogue import Known
from soul.checkpoints.layout import need_disk
from soul.checkpoints.manifest import (
    FETCHED,
    File,
    Manifest,
    Origin,
    Told,
    blocks,
    hashed,
    read_manifest,
    untold,
    write_manifest,
)
from soul.checkpoints.sources import CheckpointError
from soul.model.load import first_line

# What the hub's client raises: its own errors and those of the HTTP library that it is built on.
TROUBLE = (OSError, errors.HTTPError, errors.HfHubHTTPError, ValueError)


@dataclass(frozen=True, slots=True)
class Remote:
    """One file as the hub tells it."""

    path: str
    bytes: int
    sha256: str  # of large files; empty for the others
    blob: str  # git's hash of a small file; empty if the hub does not tell it


def fetch(
    entry: Known,
    folder: Path,
    endpoint: str | None = None,
    told: Told = untold,
    said: Callable[[str], None] = lambda sentence: None,
) -> Manifest:
    """Download `entry` into `folder`; what is there and whole is not downloaded again.

    `endpoint` is the hub's address, None for the one that HF_ENDPOINT names; `said` hears that the
    repository has moved since it was fetched here. Raises CheckpointError, one sentence; a file
    with a wrong hash is removed, a half one is kept and resumed by the next call.
    """
    revision, files = listed(entry, endpoint)
    noted = earlier(folder, entry.repository)
    if noted is not None and (before := noted.origins[0].revision) != revision:
        said(f"{entry.repository} has moved from {before} to {revision}; what changed is fetched")
        forget(folder, noted, files)
        noted = None
    absent = [file for file in files if not (folder / file.path).is_file()]
    need_disk(folder, sum(file.bytes for file in absent), f"fetching {entry.name}")
    published = hashes(noted) | entry.sha256
    found = []
    for file in files:
        download(entry, revision, file, folder, endpoint)
        found.append(checked(folder, file, published.get(file.path, ""), told))
    origin = Origin(entry.name, entry.licence, entry.commercial, entry.repository, revision)
    manifest = Manifest(entry.name, (origin,), tuple(found))
    partial = folder / f".{FETCHED}.partial"
    write_manifest(manifest, partial)
    partial.rename(folder / FETCHED)
    return manifest


def listed(entry: Known, endpoint: str | None) -> tuple[str, list[Remote]]:
    """The commit that the revision is, and those of its files that the catalogue wants."""
    try:
        info: Any = HfApi(endpoint=endpoint).model_info(
            entry.repository, revision=entry.revision, files_metadata=True
        )
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{entry.repository} asks for a login: accept its terms on the hub and set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(f"the hub has no repository {entry.repository}") from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(
            f"{entry.repository} has no revision {entry.revision!r} any more"
        ) from None
    except TROUBLE as error:
        raise CheckpointError(
            f"the hub cannot be reached for {entry.repository}: {first_line(error)}"
        ) from None
    files = [remote(one) for one in info.siblings or () if wanted(one.rfilename, entry.files)]
    if not files:
        raise CheckpointError(
            f"{entry.repository} has none of the expected files: {', '.join(entry.files)}"
        )
    if outside := [file.path for file in files if leaves(file.path)]:
        raise CheckpointError(
            f"{entry.repository} names {outside[0]!r}, which lies outside its own folder; "
            "nothing was downloaded"
        )
    return str(info.sha), files


def wanted(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def leaves(path: str) -> bool:
    """Whether a hub's name of a file points out of the folder that it is written to."""
    return path.startswith("/") or ".." in path.split("/")


def remote(sibling: Any) -> Remote:
    """huggingface_hub's `RepoSibling`."""
    lfs = sibling.lfs
    sha256 = "" if lfs is None else str(lfs.sha256)
    return Remote(
        sibling.rfilename, sibling.size or 0, sha256, "" if lfs else sibling.blob_id or ""
    )


def earlier(folder: Path, repository: str) -> Manifest | None:
    """What an earlier download from `repository` into the folder wrote down."""
    if not (folder / FETCHED).is_file():
        return None
    manifest = read_manifest(folder / FETCHED)
    return manifest if [one.repository for one in manifest.origins] == [repository] else None


def hashes(manifest: Manifest | None) -> dict[str, str]:
    """SHA-256 of each of the manifest's files."""
    return {} if manifest is None else {file.path: file.sha256 for file in manifest.files}


def forget(folder: Path, noted: Manifest, files: Iterable[Remote]) -> None:
    """Remove what is of the noted revision alone, its note last: stopped, it is done again."""
    before = hashes(noted)
    for file in files:
        path = folder / file.path
        if path.is_file() and not same(path, before.get(file.path, ""), file):
            path.unlink()
    (folder / FETCHED).unlink()


def same(path: Path, noted: str, file: Remote) -> bool:
    """Whether the file that is here, whose hash was noted, is the one that the hub tells."""
    if file.sha256:
        return noted == file.sha256
    return bool(file.blob) and git_hash(path) == file.blob


def download(entry: Known, revision: str, file: Remote, folder: Path, endpoint: str | None) -> None:
    """One file, if it is not there; CheckpointError if it was interrupted, and how to go on."""
    path = folder / file.path
    if path.is_file():
        return
    partial = path.with_name(f"{path.name}.{(file.sha256 or file.blob)[:12]}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_file() and partial.stat().st_size > file.bytes:
        partial.unlink()  # it is the beginning of something else
    url: str = hf_hub_url(entry.repository, file.path, revision=revision, endpoint=endpoint)
    try:
        with partial.open("ab") as target:
            resumed(url, target, file.bytes)
    except TROUBLE as error:
        kept = partial.stat().st_size
        raise CheckpointError(
            f"the download of {file.path} was interrupted at {kept} of {file.bytes} bytes: "
            f"{first_line(error)}; run it again, it goes on from there"
        ) from None
    partial.rename(path)


def resumed(url: str, target: BinaryIO, size: int) -> None:
    """All that `target` lacks of the `size` bytes at `url`; a login is shown to the hub alone."""
    headers: dict[str, str] = build_hf_headers()
    place = str(get_hf_file_metadata(url, headers=headers).location)
    if urlsplit(place).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)
    http_get(place, target, resume_size=target.tell(), headers=headers, expected_size=size)


def checked(folder: Path, file: Remote, published: str, told: Told) -> File:
    """The file with its hash; CheckpointError, and the file is gone, if the hash is wrong."""
    path = folder / file.path
    found = hashed(path, told)
    for whose, expected, mine in (
        ("the hub says", file.sha256, found),
        ("was published", published, found),
        ("git says", file.blob, git_hash(path) if file.blob else ""),
    ):
        if expected and mine != expected:
            path.unlink()
            raise CheckpointError(
                f"{path} has the wrong hash {mine}, {whose} {expected}; it was removed, "
                "run it again"
            )
    return File(file.path, path.stat().st_size, found)


def git_hash(path: Path) -> str:
    """As git names a file's content: small files are not in LFS, and have this hash alone."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    for block in blocks(path):
        digest.update(block)
    return digest.hexdigest()
