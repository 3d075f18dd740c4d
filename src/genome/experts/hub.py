"""Downloads from the hub, with errors that name the remedy.

Without a network, or with HF_HUB_OFFLINE, only the hub's cache is used.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from genome.errors import GenomeError, one_line
from genome.files import open_file

POINTER = b"version https://git-lfs"

log = logging.getLogger("genome")


def repository_files(repo: str, revision: str | None) -> list[str] | None:
    """Return the names of a repository's files; None if the hub cannot be reached."""
    from huggingface_hub import HfApi, errors  # slow to import

    try:
        return [file.rfilename for file in HfApi().model_info(repo, revision=revision).siblings or ()]
    except (errors.HfHubHTTPError, errors.HFValidationError):
        raise
    # pyright: ignore below: the errors module holds the HTTP library's base error, whichever library a version uses.
    except (errors.HTTPError, OSError):  # pyright: ignore[reportPrivateImportUsage]
        return None  # no answer, or offline mode


def download(repo: str, revision: str | None, patterns: Sequence[str], ignored: Sequence[str] = ()) -> Path:
    """Return the folder in the hub's cache with the matching files of a repository; its name is the commit."""
    from huggingface_hub import errors, snapshot_download  # slow to import
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()  # the lines of a log would be filled with them
    try:
        return Path(
            snapshot_download(
                repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(ignored) or None
            )
        )
    except errors.LocalEntryNotFoundError as error:
        # The cache has some of the files, perhaps all that are needed: the caller checks.
        partial = getattr(error, "snapshot_path", None)
        if partial is None:
            raise
        log.warning("%s: the hub cannot be reached, and its cache lacks some of the files", repo)
        return Path(partial)


@contextmanager
def hub_errors(what: str, repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn the hub's errors in the block into a GenomeError about `what`, which is fetched from `repo`."""
    # Slow to import. Its errors module exports the base error of the HTTP library, which differs between versions.
    from huggingface_hub import errors

    try:
        yield
    except GenomeError:
        raise
    except errors.RevisionNotFoundError as error:
        raise GenomeError(f"{what} has no revision {revision!r}; correct `revision` in the config") from error
    except errors.HFValidationError as error:
        raise GenomeError(f"{what} is not a valid hub id; write OWNER/NAME in `hub` in the config") from error
    except (errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        raise GenomeError(f"{what} {_reason(error, repo)}") from error


def _reason(error: Exception, repo: str) -> str:
    from huggingface_hub import constants, errors

    # Without access, the hub answers 401 whether a repository exists or not.
    hidden = isinstance(error, errors.RepositoryNotFoundError) and not isinstance(error, errors.GatedRepoError)
    if hidden:
        return "does not exist or is private; correct `hub` in the config, or give a token that may read it (HF_TOKEN)"
    if isinstance(error, errors.GatedRepoError) or _status(error) in (401, 403):
        return (
            f"is gated; accept its licence at https://huggingface.co/{repo} and give a token of that account "
            "(HF_TOKEN, or `hf auth login`)"
        )
    if constants.HF_HUB_OFFLINE:
        return (
            f"is not in the hub's cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE forbids network access; fetch "
            "it once without HF_HUB_OFFLINE, or give a local folder as `path`"
        )
    return f"could not be read ({one_line(error)}); try again, or give a local folder as `path`"


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that caused an error: the hub reports a refused file as missing from the cache."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response.status_code
        error = error.__cause__
    return None


def check_pointer(file: Path) -> bytes:
    """Return the first bytes of a file; GenomeError if it only names the file, as Git LFS does."""
    with open_file(file) as opened:
        start = opened.read(len(POINTER))
    if start == POINTER:
        raise GenomeError(f"{file}: a Git LFS pointer, not the file; run `git lfs pull` in its repository")
    return start


def nearest_first(name: str, known: Sequence[str]) -> list[str]:
    """Return the known names, those similar to `name` first, the others in their order."""
    close = get_close_matches(name, known, n=max(1, len(known)))
    return [*close, *(other for other in known if other not in close)]
