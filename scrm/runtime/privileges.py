"""Running as root: PostgreSQL refuses to, so its binaries run as another account, and nothing on the disk is opened up for it.

The account is the owner of the checkout when that is not root (as under sudo), else `nobody`. Where the account cannot
reach the checkout (a home folder of root, say), binaries and data live in a folder of root's own instead: no permission of
an existing folder is ever changed.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scrm.runtime.errors import RuntimeProblem

STATE_ROOTS = (Path("/var/lib"), Path("/var/db"))  # root's own, so no other user can plant a folder there first


@dataclass(frozen=True)
class Account:
    """The account that servers run as; `uid` is None when it is simply us."""

    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, object]:
        """Keyword arguments for subprocess that start a program as this account."""
        if self.uid is None:
            return {}
        # The working folder may be one that the account cannot enter.
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}

    def own(self, path: Path) -> None:
        """Give a folder or file that we made to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Can the account reach the folder? Asked by trying, since modes, ACLs and mounts all have a say."""
        if self.uid is None:
            return True
        command = ["/bin/sh", "-c", 'cd "$0"', str(folder)]
        tried = subprocess.run(command, stderr=subprocess.DEVNULL, check=False, **self.popen_options())  # type: ignore[call-overload]
        return bool(tried.returncode == 0)


def server_account(checkout: Path) -> Account:
    """Whom the embedded servers run as. Raises RuntimeProblem when we are root and there is nobody else."""
    if os.geteuid() != 0:
        return Account()
    owner = checkout.stat()
    try:
        if owner.st_uid != 0:
            return Account(owner.st_uid, pwd.getpwuid(owner.st_uid).pw_gid)
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise RuntimeProblem(
            "PostgreSQL does not run as root, and this machine has no account named nobody to run it as. "
            "Run this as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def lasting_folder(wanted: Path, account: Account) -> Path:
    """A folder the account can keep server data under: `wanted` itself where it can be reached.

    Otherwise one under the system's state folder, named after `wanted`, so that a later run finds it again.
    """
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted if account.can_enter(wanted) else _root_owned_folder(wanted, account)


def throwaway_folder(account: Account) -> Path:
    """A new folder for server data that need not outlive this run; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix="scrm-"))
    if account.uid is None:
        return folder
    folder.chmod(0o711)
    if account.can_enter(folder):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(dir=_root_owned_folder(folder, account)))


def _root_owned_folder(wanted: Path, account: Account) -> Path:
    name = "scrm-" + hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    for parent in STATE_ROOTS:
        if not parent.is_dir():
            continue
        folder = parent / name
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != 0:
            raise RuntimeProblem(f"{folder} is not a folder of root's own. Remove it and run this again.")
        folder.chmod(0o711)  # by name and not by mkdir's mode, which a strict umask would narrow
        if account.can_enter(folder):
            return folder
    raise RuntimeProblem(
        f"The account that PostgreSQL runs as cannot reach {wanted}. Run this as an ordinary user, "
        "or set DATABASE_URL and REDIS_URL."
    )


def reachable_tree(source: Path, account: Account, place: Path, parts: tuple[str, ...], version: str) -> Path:
    """`source` where the account can enter all the parts, else a copy of those parts, laid out alike, under `place`."""
    parts = tuple(part for part in parts if (source / part).is_dir())
    if all(account.can_enter(source / part) for part in parts):
        return source
    target = place / "programs"
    stamp = target / ".from"
    if not (stamp.is_file() and stamp.read_text() == version):
        shutil.rmtree(target, ignore_errors=True)
        for part in parts:
            shutil.copytree(source / part, target / part, symlinks=True)
        _open_for_reading(target)
        stamp.write_text(version)
    return target


def _open_for_reading(tree: Path) -> None:
    """Make our own copy of public programs readable; under a strict umask it would not be."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(path.stat().st_mode | (0o555 if runs else 0o444))
