"""Entry of `make setup`. It must parse on any Python, however old, so that the refusal is a sentence and not a SyntaxError."""

import os
import sys

MINIMUM = (3, 11)


def complaint(version):
    """The sentence for a Python that is too old, or an empty string."""
    if tuple(version[:2]) >= MINIMUM:
        return ""
    return (
        "This needs Python {0}.{1} or newer, and found {2}.{3} at {4}.\n"
        "Install a newer one, or name it: make setup PYTHON=/path/to/python3.12"
    ).format(MINIMUM[0], MINIMUM[1], version[0], version[1], sys.executable)


if __name__ == "__main__":
    problem = complaint(sys.version_info)
    if problem:
        sys.stderr.write(problem + "\n")
        sys.exit(2)
    import runpy

    runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "install.py"), run_name="__main__")
