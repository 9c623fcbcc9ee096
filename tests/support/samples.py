"""Packages of a third party, installed with pip as a user would."""

import subprocess
import sys
from pathlib import Path


def install(package: Path, target: Path) -> Path:
    """Builds the package in a folder, without a network, into a directory to be put on the path; gives that back."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(package)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    return target
