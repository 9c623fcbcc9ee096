"""A run's certificates: what is in them, who may read them, how long they are good for."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from qfw.program.errors import InvalidArgument
from qfw.qpm import certificates
from qfw.qpm.listen import client_files, server_files, server_name

HOUR = datetime.timedelta(hours=1)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_both_sides_are_signed_by_the_authority_of_the_run_and_of_no_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        certificates.issue(tmp_path / name, name, HOUR)
    one, two = (load(client_files(tmp_path / n, n).ca) for n in ("one", "two"))
    for files in (
        server_files(tmp_path / "one", "one"),
        client_files(tmp_path / "one", "one"),
    ):
        leaf = load(files.certificate)
        leaf.verify_directly_issued_by(one)
        with pytest.raises((InvalidSignature, ValueError)):
            leaf.verify_directly_issued_by(two)
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == "secp256r1"
        assert key.public_key() == leaf.public_key()


def test_roles_and_names(tmp_path: Path) -> None:
    certificates.issue(tmp_path, "Job_17", HOUR)
    found = {}
    for role in ("server", "client"):
        leaf = load(tmp_path / "tls" / f"{role}.pem")
        extensions = leaf.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        found[role] = (names.get_values_for_type(x509.DNSName), list(usage))
    assert found == {
        "server": (["job-17.qfw.run"], [ExtendedKeyUsageOID.SERVER_AUTH]),
        "client": (["client.job-17.qfw.run"], [ExtendedKeyUsageOID.CLIENT_AUTH]),
    }
    authority = load(tmp_path / "tls/ca.pem").extensions.get_extension_for_class(x509.BasicConstraints)
    assert authority.critical
    assert authority.value == x509.BasicConstraints(ca=True, path_length=0)


@pytest.mark.parametrize(
    ("run_id", "name"),
    [("17", "17.qfw.run"), ("A.b_C", "a-b-c.qfw.run"), ("x" * 64, "x" * 63 + ".qfw.run"), ("0_", "0.qfw.run")],
)
def test_a_run_id_becomes_a_name_of_dns(run_id: str, name: str) -> None:
    assert server_name(run_id) == name


def test_nobody_else_can_read_them_and_the_key_of_the_authority_is_not_kept(tmp_path: Path) -> None:
    certificates.issue(tmp_path, "one", HOUR)
    tls = tmp_path / "tls"
    assert stat.S_IMODE(tls.stat().st_mode) == 0o700
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in tls.iterdir()} == dict.fromkeys(
        ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"), 0o600
    )
    authority = load(tls / "ca.pem").public_key()
    kept = [serialization.load_pem_private_key(p.read_bytes(), None).public_key() for p in tls.glob("*.key")]
    assert authority not in kept
    assert len(kept) == 2


def test_issuing_again_replaces_all_files(tmp_path: Path) -> None:
    certificates.issue(tmp_path, "one", HOUR)
    before = {p.name: p.read_bytes() for p in (tmp_path / "tls").iterdir()}
    certificates.issue(tmp_path, "one", HOUR)
    after = {p.name: p.read_bytes() for p in (tmp_path / "tls").iterdir()}
    assert before.keys() == after.keys()
    assert not [name for name in before if before[name] == after[name]]
    assert [p.name for p in tmp_path.iterdir()] == ["tls"]
    certificates.remove(tmp_path)
    certificates.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lifetime(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    end = str(int(now.timestamp()) + 3600)
    assert certificates.lifetime(2.5, {"SLURM_JOB_END_TIME": end}) == 2.5 * HOUR
    assert certificates.lifetime(None, {}) == 7 * 24 * HOUR
    of_job = certificates.lifetime(None, {"SLURM_JOB_END_TIME": end})
    assert abs(of_job - datetime.timedelta(minutes=70)) < datetime.timedelta(seconds=30)
    certificates.issue(tmp_path, "one", certificates.lifetime(3, {}))
    ends = {load(p).not_valid_after_utc for p in (tmp_path / "tls").glob("*.pem")}
    assert ends == {certificates.expires(tmp_path / "tls/server.pem")}
    assert abs(ends.pop() - now - 3 * HOUR) < datetime.timedelta(seconds=30)


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), 1e6])
def test_a_senseless_lifetime_is_refused(hours: float) -> None:
    with pytest.raises(InvalidArgument, match="hours"):
        certificates.lifetime(hours, {})
