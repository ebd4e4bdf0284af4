import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scrm.runtime import bootstrap, install

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 8, 0), (3, 10, 13)])
def test_an_old_python_is_refused_with_what_to_do(version):
    words = bootstrap.complaint(version)

    assert "needs Python 3.11 or newer" in words
    assert f"found {version[0]}.{version[1]}" in words
    assert "make setup PYTHON=" in words


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2), (4, 0, 0)])
def test_a_recent_python_is_welcome(version):
    assert bootstrap.complaint(version) == ""


def test_the_check_itself_parses_on_an_old_python():
    source = (ROOT / "scrm/runtime/bootstrap.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 4))

    assert source.isascii()  # Python 2 refuses other characters without a declaration
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert all(argument.annotation is None for argument in node.args.args)


def test_a_step_runs_again_only_when_its_input_changed(tmp_path):
    source, done = tmp_path / "source", tmp_path / "done"
    done.touch()
    step = install.Step("t", tmp_path / "stamps" / "t", done, lambda: source.read_text(), lambda: None)
    source.write_text("one")
    assert not step.is_current()

    install.write_stamp(step.stamp, step.digest())
    assert step.is_current()

    source.write_text("two")
    assert not step.is_current()
    source.write_text("one")
    done.unlink()
    assert not step.is_current()


def test_one_package_is_cut_out_of_the_lock_with_its_hashes():
    lock = "a==1 \\\n    --hash=sha256:1\n    # via b\nuv==2.0 \\\n    --hash=sha256:2 \\\n    --hash=sha256:3\nuvicorn==4\n"
    assert install.entry_of("uv", lock) == "uv==2.0 \\\n    --hash=sha256:2 \\\n    --hash=sha256:3\n"
    assert install.entry_of("uv", (ROOT / "requirements/dev.txt").read_text()).count("--hash") > 1
    with pytest.raises(install.SetupError, match="pip-tools"):
        install.entry_of("pip-tools", lock)


def test_an_index_that_pip_was_told_of_is_uvs_too(monkeypatch):
    monkeypatch.setattr(install, "VENV_PYTHON", sys.executable)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert install.uv_environment()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert install.uv_environment()["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_a_failing_command_is_named_with_its_words(capsys):
    with pytest.raises(install.SetupError, match="exit 5"):
        install.run([sys.executable, "-c", "print('the cause'); raise SystemExit(5)"])
    assert "the cause" in capsys.readouterr().err


def test_every_locked_package_has_hashes_and_no_address():
    for name in ("base", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        packages = re.findall(r"^[a-z0-9][^\s=]*==\S+", text, flags=re.M)
        blocks = re.split(r"^(?=[a-z0-9][^\s=]*==)", text, flags=re.M)[1:]
        assert len(packages) == len(blocks) > 20
        assert all("--hash=sha256:" in block for block in blocks)
        assert "://" not in text
        assert not re.search(r"^\s*-(i|-index-url|-extra-index-url|-find-links)", text, flags=re.M)


def test_production_installs_what_was_tested():
    def locked(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9][^\s=]*)==(\S+)", text, flags=re.M))

    base, dev = locked("base"), locked("dev")
    assert {name: dev.get(name) for name in base} == base


def test_make_help_lists_every_target_of_the_makefile():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in ("setup", "lock", "demo", "demo-reset", "test", "gates", "bench"):
        assert f"make {name} " in shown
