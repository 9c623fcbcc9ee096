"""The certificates of one run: its own certificate authority, a certificate for its servers and one for its clients.

Made when a run listens on a network address (`qfw_setup.sh --tcp`). Whoever can read the run directory may use the run;
nobody else has a certificate that its servers take. The authority's key is used here once and never written. Names are
those of the run, not of hosts: a certificate of one run is of no use to another.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qfw.program.errors import InvalidArgument
from qfw.qpm.listen import DIRECTORY, server_name

LIFETIME_HOURS = 7 * 24.0  # of a run outside a batch job
MAX_LIFETIME_HOURS = 366 * 24.0
GRACE = datetime.timedelta(minutes=10)  # beyond the end of a batch job
ROLES = {"server": ("", ExtendedKeyUsageOID.SERVER_AUTH), "client": ("client.", ExtendedKeyUsageOID.CLIENT_AUTH)}
SKEW = datetime.timedelta(minutes=5)  # that clocks of hosts may differ


def lifetime(hours: float | None, environ: Mapping[str, str] = os.environ) -> datetime.timedelta:
    """How long certificates are good for: `hours`, else until $SLURM_JOB_END_TIME and ten minutes, else a week."""
    if hours is None and (end := environ.get("SLURM_JOB_END_TIME", "")).isdigit():
        left = datetime.datetime.fromtimestamp(int(end), datetime.UTC) - _now()
        return min(max(left, datetime.timedelta()) + GRACE, datetime.timedelta(hours=MAX_LIFETIME_HOURS))
    value = LIFETIME_HOURS if hours is None else hours
    if not 0 < value <= MAX_LIFETIME_HOURS:
        raise InvalidArgument(f"lifetime of {value:g} hours for certificates: above 0, at most {MAX_LIFETIME_HOURS:g}")
    return datetime.timedelta(hours=value)


def issue(directory: Path, run_id: str, valid: datetime.timedelta) -> None:
    """Makes a new authority and both certificates in `<directory>/tls`, in place of those that were there."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, run_id, valid)
    fresh = Path(tempfile.mkdtemp(dir=directory, prefix=f".{DIRECTORY}."))  # mode 0700
    try:
        _write(fresh / "ca.pem", _pem(authority))
        for role, (prefix, usage) in ROLES.items():
            key = ec.generate_private_key(ec.SECP256R1())
            leaf = _leaf(authority, key.public_key(), prefix + server_name(run_id), usage)
            _write(fresh / f"{role}.pem", _pem(leaf.sign(authority_key, hashes.SHA256())))
            encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            _write(fresh / f"{role}.key", key.private_bytes(*encoding))
        remove(directory)
        fresh.rename(directory / DIRECTORY)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def remove(directory: Path) -> None:
    """Removes the certificates of a run, if there are any."""
    shutil.rmtree(directory / DIRECTORY, ignore_errors=True)


def expires(certificate: Path) -> datetime.datetime:
    """When a certificate ends, in UTC."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])  # X.520's limit


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(key: ec.EllipticCurvePrivateKey, run_id: str, valid: datetime.timedelta) -> x509.Certificate:
    name = _name(f"qfw run {run_id}")
    unsigned = _certificate(name, name, key.public_key(), _now() + valid)
    unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return unsigned.add_extension(_key_usage(signs_certificates=True), critical=True).sign(key, hashes.SHA256())


def _leaf(
    authority: x509.Certificate, key: ec.EllipticCurvePublicKey, name: str, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _certificate(_name(name), authority.subject, key, authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
