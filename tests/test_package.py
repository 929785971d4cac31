"""What is shipped: the wheel's content and size, the README's blocks, the examples."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support import ROOT

WHEEL_BYTES_MAX = 8_000_000
README = ROOT / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="session")
def wheel() -> zipfile.ZipFile:
    """The wheel `make wheel` built."""
    wheels = sorted((ROOT / "target" / "wheels").glob("chronik-*.whl"))
    if not wheels:
        pytest.skip("no wheel in target/wheels; `make wheel` builds it")
    return zipfile.ZipFile(wheels[-1])


def test_one_small_wheel_serves_every_supported_python(wheel):
    name = Path(wheel.filename or "").name
    assert "-cp310-abi3-" in name
    assert Path(wheel.filename or "").stat().st_size <= WHEEL_BYTES_MAX


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(wheel.namelist())
    python = {str(path.relative_to(ROOT / "python")) for path in (ROOT / "python").rglob("*.py")}
    assert python <= names
    assert {"chronik/py.typed", "chronik/_chronik.pyi"} <= names
    assert any(re.fullmatch(r"chronik/_chronik\.abi3\.so", name) for name in names)
    rest = {name for name in names - python if not re.match(r"chronik-[\d.]+\.dist-info/|chronik\.libs/", name)}
    assert rest == {"chronik/py.typed", "chronik/_chronik.pyi", "chronik/_chronik.abi3.so"}


def test_the_wheel_gives_the_commands_and_the_plugin(wheel):
    points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(points).decode()
    for line in (
        "chronik=chronik.cli:main",
        "chronik-server=chronik.cli:server",
        "chronik=chronik.pytest_plugin",
    ):
        assert line in text.replace(" ", "")


def test_the_readme_has_the_blocks_this_file_runs():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_readme_block_runs(block, tmp_path: Path):
    source = BLOCKS[block]
    script = tmp_path / "test_block.py"
    script.write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", str(script)] if "def test_" in source else [sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_row_of_the_promise_table_names_tests_that_exist():
    python = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    rust = "\n".join(path.read_text() for path in (ROOT / "rust").glob("*/tests/**/*.rs"))
    rows = [line for line in README.read_text().splitlines() if re.match(r"\| P\d+ \|", line)]
    assert rows
    for row in rows:
        named = re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])
        assert named, row
        for name in named:
            assert f"def {name}(" in python or f"#[test]\nfn {name}(" in rust, name


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_an_example_runs(example: Path, tmp_path: Path):
    command = [sys.executable, str(example)]
    if example.name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_examples():
    assert len(EXAMPLES) >= 5
