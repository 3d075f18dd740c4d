"""`genome export --push`: an exported adapter with its card as a model repository of the Hugging Face hub.

A repository is private unless it is asked to be public, and one that has files is left alone unless it is asked to get
another commit. Commits keep what was there before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genome.errors import GenomeError, one_line
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.jobs.export import CARD, GENOTYPE

FILES = (CARD, CONFIG, WEIGHTS, GENOTYPE)
"""What is uploaded of an export's folder."""

OF_THE_HUB = {".gitattributes"}
"""Files that the hub itself puts into an empty repository."""


def check_target(repo: str, *, overwrite: bool) -> None:
    """Raise GenomeError if an export cannot be pushed to a repository; nothing is written.

    That is so without a token, for a name that is not OWNER/NAME, and for a repository that has files, unless
    `overwrite`.
    """
    from huggingface_hub import HfApi, get_token  # slow to import
    from huggingface_hub.errors import RepositoryNotFoundError

    if repo.count("/") != 1:
        raise GenomeError(f"--push {repo}: expected OWNER/NAME, such as your account's name and a name for the model")
    if not get_token():
        raise GenomeError(
            f"--push {repo}: no token for the hub; call `hf auth login`, or set HF_TOKEN to a token that may write "
            "(https://huggingface.co/settings/tokens)"
        )
    with _hub_errors(repo):
        try:
            present = {*HfApi().list_repo_files(repo)} - OF_THE_HUB
        except RepositoryNotFoundError:  # it will be made
            return
    if present and not overwrite:
        raise GenomeError(
            f"--push {repo}: it exists and has files, such as {min(present)}; give another name, or --overwrite for a "
            "new commit there"
        )


def push_export(folder: Path, repo: str, run: str, *, public: bool) -> str:
    """Upload an export's folder to a repository, which is made if it is not there, and return its address.

    `public` decides on new repositories only.
    """
    from huggingface_hub import HfApi

    with _hub_errors(repo):
        api = HfApi()
        address = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=[*FILES], commit_message=f"Best individual of {run}"
        )
    return str(address)


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn the hub's errors into one line with the remedy."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise GenomeError(f"--push {repo}: not a valid name; {one_line(error)}") from error
    # pyright: ignore below: the errors module holds the HTTP library's base error, whichever library a version uses.
    except (errors.HTTPError, OSError, ValueError) as error:  # pyright: ignore[reportPrivateImportUsage]
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
            raise GenomeError(
                f"--push {repo}: the hub refuses it to this token; give one that may write to {repo.split('/')[0]} "
                "(HF_TOKEN, or `hf auth login`)"
            ) from error
        raise GenomeError(f"--push {repo}: {one_line(error)}; the same command tries again") from error
