"""Makes a certificate with Airflow's own packages: ``python certificate.py DIRECTORY NAME``.

Writes cert.pem (for NAME, signed by itself), signed.pem (for NAME, signed by an authority), chain.pem (that and the
authority's) and key.pem.
"""

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

directory, name = Path(sys.argv[1]), sys.argv[2]
key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certificate(subject, issuer, public, signer, extension, critical):
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(public.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(extension, critical=critical)
        .sign(signer, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


san = x509.SubjectAlternativeName([x509.DNSName(name)])
authority = certificate("authority", "authority", authority_key, authority_key, x509.BasicConstraints(True, None), True)
signed = certificate(name, "authority", key, authority_key, san, False)
(directory / "cert.pem").write_bytes(certificate(name, name, key, key, san, False))
(directory / "signed.pem").write_bytes(signed)
(directory / "chain.pem").write_bytes(signed + authority)
(directory / "key.pem").write_bytes(
    key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
)
