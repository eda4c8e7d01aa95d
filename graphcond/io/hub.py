"""Models of the Hugging Face hub, and of folders: why one cannot be loaded. Nothing here imports torch."""

from __future__ import annotations

import errno
from pathlib import Path

from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from graphcond.errors import first_line
from graphcond.io.readable import PICKLE, UNPICKLED, is_pickle


def why_not_loaded(error: BaseException, model: str, *, in_folder: str, part: str = "") -> tuple[str, str]:
    """The reason why a library could not load a model, and what to do about it.

    Libraries wrap what happened in errors of their own, which guess; the errors behind them decide.

    Args:
        error: of the library.
        model: a folder or a hub id.
        in_folder: what to do if the files of a folder are the matter.
        part: the folder within the model whose weights were loaded.
    """
    behind: BaseException | None = error
    while behind is not None:
        match behind:
            case HFValidationError():
                return "there is no such folder", "check the path; a hub id is written owner/name"
            case ImportError():
                return first_line(behind), "install what it names"
            case PermissionError():
                return first_line(behind), "allow this user to read and write there"
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return first_line(behind), "make room on its disk, or let HF_HOME name another place"
            case GatedRepoError():
                return first_line(error), "accept its terms on the hub, and log in with `hf auth login`"
            case RepositoryNotFoundError() | RevisionNotFoundError():
                remedy = "correct the hub id or the revision; if it is private, log in with `hf auth login`"
                return first_line(error), remedy
            case LocalEntryNotFoundError():
                return "it is not on this machine", "give a folder that exists, or a hub id while online"
        behind = behind.__cause__ or behind.__context__
    if not Path(model).is_dir():
        return first_line(error), "give a folder, or a hub id while online"
    files = [file for file in sorted(Path(model, part).glob("*")) if file.is_file()]
    weights = [file for file in files if file.suffix == ".safetensors"]
    for file in weights or (file for file in files if file.suffix == ".bin"):
        if is_pickle(file):
            return f"{file.name} {PICKLE}", UNPICKLED
    return first_line(error), in_folder
