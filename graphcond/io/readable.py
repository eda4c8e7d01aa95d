"""Whether a file can be read at all, apart from what is in it."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from graphcond.errors import InputError

REMEDIES = {
    errno.EACCES: "allow this user to read it",
    errno.EPERM: "allow this user to read it",
    errno.ELOOP: "correct the link, which leads back to itself",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ENOTDIR: "check the path: a file stands where it names a folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the disk, which another machine serves",
}


def check_readable(path: Path, *, missing: str = "check the path") -> None:
    """Check that a file can be opened; what goes wrong with it afterwards is the fault of its content.

    Args:
        path: the file.
        missing: what to do if there is none.

    Raises:
        InputError: there is no such file; it is a folder, or a device or a pipe, which may never end; or it
            cannot be opened.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("expected a file, got a folder", place=path, remedy="name a file")
        if not stat.S_ISREG(mode):
            raise InputError("is not a regular file", place=path, remedy="replace it by a file")
        path.open("rb").close()
    except FileNotFoundError:
        raise InputError("no such file", place=path, remedy=missing) from None
    except OSError as error:
        raise unreadable(path, error) from None


PICKLE = "is a pickle, which could run code, and is not opened"
UNPICKLED = "save its tensors as safetensors (safetensors.torch.save_file)"
"""What is said of a pickle where safetensors are expected, and what to do."""


def is_pickle(path: Path) -> bool:
    """Whether a file begins as those of `torch.save` and ``pickle`` do."""
    with path.open("rb") as opened:
        start = opened.read(9)
    # A safetensors file begins with the length of its header, which may look so, and then the header.
    return start.startswith((b"\x80", b"PK\x03\x04")) and start[8:] != b"{"


def unreadable(path: Path, error: OSError) -> InputError:
    """The error of a file that the system does not let us read."""
    remedy = REMEDIES.get(error.errno or 0, "check the path and its disk")
    return InputError(f"the file cannot be read ({error.strerror or error})", place=path, remedy=remedy)
