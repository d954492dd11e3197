"""Calls the execution API of Airflow 3 once as a task does: ``task_call URL [OPTION=VALUE]…``.

A task's client is httpx with the configured URL, certificates and proxy variables, and a token from the executor. This
program makes the same call without importing Airflow (0.5 s instead of 4). The options are those of `[api]`,
`[api_auth]` and `[execution_api]`. The secret is read where Airflow reads it, because other users can see arguments.
The exit status is 0 if the API answers; otherwise the last line printed says what failed, and which setting helps.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import hmac
import json
import os
import ssl
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from . import diagnosis

TIMEOUT = 60.0  # seconds; at the first call the api-server imports many modules
REQUEST = "dag-runs/count"  # the cheapest request that needs a token; in 3.0 and later
SETTING = "[core] execution_api_server_url"
NAME_MISMATCHES = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH: x509_vfy.h


class Refused(Exception):
    """The call failed; the message is one line."""


# The token


def secret() -> str:
    """Return `[api_auth] jwt_secret` from the environment or the file. Ask Airflow if a command, a secrets backend or a
    variable in the value provides it."""
    name = "AIRFLOW__API_AUTH__JWT_SECRET"
    home = os.path.expanduser(os.environ.get("AIRFLOW_HOME", "~/airflow"))
    value = os.environ.get(name)
    if value is None and not any(name + kind in os.environ for kind in ("_CMD", "_SECRET")):
        parser = configparser.RawConfigParser(strict=False)
        parser.read(os.environ.get("AIRFLOW_CONFIG") or os.path.join(home, "airflow.cfg"))
        value = parser.get("api_auth", "jwt_secret", fallback=None)
    if not value or set(value) & set("$%{~"):
        from airflow.configuration import conf

        value = conf.get("api_auth", "jwt_secret", fallback="")
    return value or ""


def claims(options: Mapping[str, str], now: int) -> dict[str, Any]:
    """Return the claims of a task's token."""
    found = {
        "jti": uuid.uuid4().hex,
        "iss": first(options.get("jwt_issuer", "")),
        "aud": first(options.get("jwt_audience", "")),
        "nbf": now,
        "iat": now,
        "exp": now + 600,
        "sub": str(uuid.uuid4()),
        "scope": "execution",
    }
    return {name: value for name, value in found.items() if value}


def first(text: str) -> str:
    """Return the first word of a comma-separated list."""
    return text.split(",")[0].strip()


def token(options: Mapping[str, str], now: int) -> str:
    """Return a signed token (RFC 7519)."""
    algorithm = first(options.get("jwt_algorithm", "GUESS"))
    if path := options.get("jwt_private_key_path"):
        return signed_by_key(path, algorithm, options, now)
    key = secret()
    if not key:
        raise Refused("[api_auth] jwt_secret is not configured, so no task gets a token")
    algorithm = "HS512" if algorithm == "GUESS" else algorithm
    header = {"alg": algorithm, "typ": "JWT", "kid": options.get("jwt_kid") or "not-used"}
    text = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims(options, now)))
    digest = getattr(hashlib, "sha" + algorithm[2:], None)
    if digest is None:
        raise Refused(f"[api_auth] jwt_algorithm = {algorithm} does not fit a secret")
    return (text + b"." + encoded(hmac.new(key.encode(), text, digest).digest())).decode()


def signed_by_key(path: str, algorithm: str, options: Mapping[str, str], now: int) -> str:
    """Return a token signed with a private key. As in Airflow, its key id is the thumbprint of the key (RFC 7638)."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

    try:
        with open(path, "rb") as file:
            key: Any = load_pem_private_key(file.read(), password=None)
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read [api_auth] jwt_private_key_path {path}: {error}") from None
    rsa = isinstance(key, RSAPrivateKey)
    if algorithm == "GUESS":
        algorithm = "RS256" if rsa else "EdDSA"
    public = json.loads((RSAAlgorithm if rsa else OKPAlgorithm).to_jwk(key.public_key()))
    text = json.dumps(public, separators=(",", ":"), sort_keys=True)
    kid = options.get("jwt_kid") or encoded(hashlib.sha256(text.encode()).digest()).decode()
    return str(jwt.encode(claims(options, now), key, algorithm=algorithm, headers={"kid": kid}))


def encoded(data: bytes) -> bytes:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# The call


def context(options: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context with the certificates that a task trusts: of certifi, of `[api] ssl_ca_file` or the system, and
    `ssl_cert`."""
    try:
        made = ssl.create_default_context(cafile=options.get("ssl_ca_file") or None)
        if options.get("client_use_public_certs", "true").lower() not in ("false", "f", "0", "no", "off"):
            import certifi

            made.load_verify_locations(certifi.where())
        if options.get("ssl_cert"):
            made.load_verify_locations(options["ssl_cert"])
    except OSError as error:
        files = ", ".join(filter(None, (options.get("ssl_ca_file"), options.get("ssl_cert"))))
        raise Refused(f"cannot read the certificates {files}: {error.strerror or error}") from None
    return made


def call(url: str, options: Mapping[str, str]) -> None:
    """Make the call. Raises Refused."""
    import httpx

    headers = {"Authorization": "Bearer " + token(options, int(time.time()))}
    more: dict[str, Any] = {}
    if urlsplit(url).scheme == "https":
        more["verify"] = context(options)
        if options.get("client_ssl_cert"):
            more["cert"] = (options["client_ssl_cert"], options.get("client_ssl_key"))
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT, headers=headers, **more) as client:
            response = client.get(REQUEST, params={"dag_id": "orchestrate"})
    except Exception as error:  # of httpx, for a proxy that needs another package, for an invalid URL
        raise Refused(explained(error, url)) from error
    judge(response.status_code, response.headers, response.content, url)


def judge(status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
    """Raise Refused if this is not the answer of an execution API."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, int):
        return
    detail = answer.get("detail") if isinstance(answer, dict) else None
    via = through_proxy(url)
    if status in (401, 403) and detail:
        raise Refused(
            f"the api-server refuses the token of a task ({status}: {str(detail)[:60]}):"
            " [api_auth] and [execution_api] must be the same there and here"
        )
    if via:
        raise Refused(f"{status} {via}")
    if 300 <= status < 400:
        raise Refused(f"it redirects to {headers.get('location', 'another URL')}; set {SETTING} to the final URL")
    raise Refused(f"status {status}: that is not the execution API; correct {SETTING}")


# Failures


def explained(error: BaseException, url: str) -> str:
    """Return one line about what failed, and which setting helps."""
    for cause in diagnosis.causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return of_certificate(cause, url)
        if isinstance(cause, ssl.SSLError):
            return (
                f"TLS fails ({(cause.reason or str(cause)).lower().replace('_', ' ')}); check the scheme of {SETTING}"
            )
    text = (str(error) or type(error).__name__).splitlines()[0]
    if via := through_proxy(url):
        return f"{text} {via}"
    return f"{text}; tasks use this URL: correct it with {SETTING}"


def of_certificate(error: ssl.SSLCertVerificationError, url: str) -> str:
    """Return what is wrong with the certificate."""
    parts = urlsplit(url)
    if error.verify_code not in NAME_MISMATCHES:
        return (
            f"tasks do not trust the certificate ({error.verify_message}):"
            " [api] ssl_cert must name a file that contains it and its authority's"
        )
    names = certificate_names(str(parts.hostname), parts.port or 443)
    port = f":{parts.port}" if parts.port else ""
    usable = next((name for name in names if not name.startswith("*")), "NAME")
    return (
        f"the certificate is for {', '.join(names[:3]) or 'another name'}, not {parts.hostname};"
        f" set {SETTING} = https://{usable}{port}{parts.path}"
    )


def certificate_names(host: str, port: int) -> list[str]:
    """Return the names in a server's certificate; none if it cannot be read."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, port), timeout=5).encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value) for name in names]
    except x509.ExtensionNotFound:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    except (OSError, ValueError, TypeError):
        return []


def through_proxy(url: str) -> str:
    """Return a note that the call goes through a proxy, and what to do; empty if it does not."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.hostname or ""
    exempt = [name.strip().lstrip(".") for name in proxies.get("no", "").split(",") if name.strip()]
    if not proxy or any(name == "*" or host == name or host.endswith("." + name) for name in exempt):
        return ""
    return f"through the proxy {proxy.rpartition('@')[2].rpartition('://')[2]}; add {host} to NO_PROXY"


def main(arguments: list[str]) -> int:
    """Make the call; return the exit status."""
    options = dict(word.split("=", 1) for word in arguments[1:])
    try:
        call(arguments[0], options)
    except Refused as error:
        print(error)
        return 1
    return 0
