"""An authority of the test session's own, with keys for the broker and for a client that shows a certificate."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=30)
_PEM = serialization.Encoding.PEM


def make_keys(keystore: Path, password: str, client: str) -> None:
    """Beside keystore (PKCS 12, for 127.0.0.1): ca.pem, client.pem and client.key of CN=client, stranger.* likewise.

    The stranger's certificate is signed by nobody whom the broker trusts.
    """
    folder, secret = keystore.parent, password.encode()
    authority, broker = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("tests", authority, "tests", authority)
    (folder / "ca.pem").write_bytes(root.public_bytes(_PEM))
    certificate = _certificate("localhost", broker, "tests", authority)
    encryption = serialization.BestAvailableEncryption(secret)
    keystore.write_bytes(pkcs12.serialize_key_and_certificates(b"broker", broker, certificate, [root], encryption))
    for name, signer in (("client", authority), ("stranger", ec.generate_private_key(ec.SECP256R1()))):
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = "tests" if signer is authority else "elsewhere"
        (folder / f"{name}.pem").write_bytes(_certificate(client, key, issuer, signer).public_bytes(_PEM))
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)
        (folder / f"{name}.key").write_bytes(private)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Of key, signed by signer; an authority where both are the same."""
    now = datetime.now(UTC)
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.BasicConstraints(ca=key is signer, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
