"""The wheel in an environment of its own, with what it asks for beside it and no gRPC or protobuf of the system.

`scripts/dev/test` builds the wheel and names it in $QFW_TEST_WHEEL.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEEL = os.environ.get("QFW_TEST_WHEEL", "")

pytestmark = [
    pytest.mark.skipif(not WHEEL, reason="$QFW_TEST_WHEEL names no wheel: scripts/dev/wheel makes one"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of an environment that holds the wheel and what it asks for."""
    home = tmp_path_factory.mktemp("bare environment")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", WHEEL], check=True, env=clean())
    return home / "bin"


def clean(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "LD_", "PKG_CONFIG"))}
    return kept | more


def output(*command: str | Path, cwd: Path, **more: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=clean(**more), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def c_example(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/c/ghz.c, compiled against the wheel alone."""
    folder = tmp_path_factory.mktemp("c")
    shutil.copy(ROOT / "examples/c/ghz.c", folder)
    prefix = Path(output(bare / "qfw", "prefix", cwd=folder).strip())
    found = output("pkg-config", "--cflags", "--libs", "qpi", cwd=folder, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
    flags = re.findall(r"(?:\\.|[^\s\\])+", found)
    output("cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "ghz.c", *(f.replace("\\", "") for f in flags),
           "-o", "ghz", cwd=folder)  # fmt: skip
    return folder / "ghz"


def test_the_name_says_an_older_glibc() -> None:
    tag = re.search(r"manylinux_2_(\d+)_x86_64\.whl$", WHEEL)
    assert tag and int(tag[1]) <= 35, WHEEL


def test_the_python_example(bare: Path, tmp_path: Path) -> None:
    printed = output(bare / "python", ROOT / "examples/python/ghz.py", cwd=tmp_path)
    assert "000:" in printed and "111:" in printed


def test_the_c_example_prints_the_same(bare: Path, c_example: Path, tmp_path: Path) -> None:
    assert output(c_example, cwd=tmp_path) == output(bare / "python", ROOT / "examples/python/ghz.py", cwd=tmp_path)


def test_no_library_of_the_system_is_needed(bare: Path, tmp_path: Path) -> None:
    script = (
        "from qfw import qpi\n"
        "with qpi.connect('embedded') as ctx: ctx.devices()\n"
        "print(open('/proc/self/maps').read())\n"
    )
    maps = output(bare / "python", "-c", script, cwd=tmp_path)
    libraries = {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line}
    ours = {name for name in libraries if re.search(r"lib(grpc|protobuf|absl|upb|gpr)", name)}
    assert ours and all("qfw.libs" in name for name in ours), ours


TYPED = """
from qfw import qpi

def use(context: qpi.Context) -> None:
    builder = qpi.Builder(1, 1)
    reveal_type(builder.finish())  # of the compiled module
    task = qpi.Task(builder.finish(), shots=1)
    reveal_type(context.mesh().run(task))
    reveal_type(context.mesh().run([task]))
    reveal_type(context.mesh().run(task).counts)
    context.mesh(7)
"""


def test_a_type_checker_sees_the_types(bare: Path, tmp_path: Path) -> None:
    """With its strictest setting, and of the compiled module too."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "user.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", bare / "python", "user.py"]
    done = subprocess.run(mypy, cwd=tmp_path, env=clean(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.findall(r'Revealed type is "(.*)"', done.stdout) == [
        "qfw._core.program.Program",
        "qfw.qpi.result.Result",
        "list[qfw.qpi.result.Result]",
        "dict[str, int]",
    ]
    (error,) = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert 'No overload variant of "mesh"' in error


@pytest.fixture
def run(bare: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A daemon that the wheel's own script started; what a client needs to find it."""
    here = {"QFW_RUN_ID": "wheel", "PATH": f"{bare}:{os.environ['PATH']}"}
    output(bare / "qfw_setup.sh", cwd=tmp_path, **here)
    yield here
    output(bare / "qfw_teardown.sh", cwd=tmp_path, **here)


def test_both_examples_through_the_daemon(bare: Path, c_example: Path, run: dict[str, str], tmp_path: Path) -> None:
    devices = output(bare / "qfw", "devices", cwd=tmp_path, **run)
    assert "statevec" in devices
    python = output(bare / "python", ROOT / "examples/python/ghz.py", cwd=tmp_path, **run)
    assert output(c_example, cwd=tmp_path, **run) == python
