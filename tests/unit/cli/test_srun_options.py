"""Telling srun's options from the program that follows them."""

from __future__ import annotations

import pytest

from qfw.cli.srun_options import split, value_of

OWN = {"run-id": True, "help": False}


@pytest.mark.parametrize(
    ("text", "options", "program"),
    [
        ("app.py -n 1", "", "app.py -n 1"),
        ("-n 1 app.py", "-n 1", "app.py"),
        ("-n1 -N2 app.py", "-n1 -N2", "app.py"),
        ("-ln 4 python3 app.py", "-ln 4", "python3 app.py"),
        ("--ntasks 4 --nodes=2 app", "--ntasks 4 --nodes=2", "app"),
        ("--exclusive --overlap app", "--exclusive --overlap", "app"),
        ("-K1 -u app", "-K1 -u", "app"),
        ("--qpu=ideal app", "--qpu=ideal", "app"),
        ("--mpi=pmi2 -- -odd", "--mpi=pmi2", "-odd"),
        ("-n 2 a : -n 3 b", "-n 2", "a : -n 3 b"),
        ("", "", ""),
    ],
)
def test_split(text: str, options: str, program: str) -> None:
    assert split(text.split(), OWN) == ({}, options.split(), program.split())


def test_own_options_come_anywhere_before_the_program() -> None:
    own, theirs, program = split(["-n", "2", "--run-id", "x", "--label", "--run-id=y", "app", "--run-id", "z"], OWN)
    assert own == {"run-id": "y"} and theirs == ["-n", "2", "--label"] and program == ["app", "--run-id", "z"]
    assert split(["--help"], OWN) == ({"help": ""}, [], [])


@pytest.mark.parametrize("text", ["-n", "--ntasks", "--run-id"])
def test_a_missing_value(text: str) -> None:
    with pytest.raises(ValueError, match="needs a value"):
        split([text], OWN)


def test_values() -> None:
    given = ["-n", "2", "--mpi=pmi2", "-N3", "-n4"]
    assert value_of(given, "ntasks", "n") == "4" and value_of(given, "nodes", "N") == "3"
    assert value_of(given, "mpi") == "pmi2" and value_of(given, "het-group") is None
    assert value_of(["--ntasks", "8"], "ntasks", "n") == "8"
