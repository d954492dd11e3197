"""The call of the execution API as a task makes it, by the httpx of a real Airflow environment, to servers of ours."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from airflow_rest import free_port, installed
from harness import environment

from orchestrator.presets.airflow import programs

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(120)]
SECRET = {"AIRFLOW__API_AUTH__JWT_SECRET": "s3cr3t"}
AUDIENCE = "jwt_audience=urn:airflow.apache.org:task"


@contextlib.contextmanager
def serving(status=200, body=b"0", certificate=None, key=None, **headers):
    """A server on localhost that answers so to everything; yields its port and the requests."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def call(url, *options, home="/nonexistent", **variables):
    """Its exit status, and its last line."""
    command = programs.command(installed("3.3.2").with_name("python"), "task_call", url, *options)
    env = environment(AIRFLOW_HOME=str(home), **variables)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout.splitlines() or [""])[-1]


def decoded(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_it_asks_with_a_signed_token(tmp_path):
    (tmp_path / "airflow.cfg").write_text("[api_auth]\njwt_secret = from-the-file\n")
    with serving() as (port, seen):
        assert call(f"http://localhost:{port}/af/execution/", AUDIENCE, "jwt_issuer=me", home=tmp_path) == (0, "")
        assert call(f"http://localhost:{port}/execution/", **SECRET) == (0, "")
    (path, first), (_, second) = seen
    assert path == "/af/execution/dag-runs/count?dag_id=orchestrate"
    for authorization, secret in ((first, b"from-the-file"), (second, b"s3cr3t")):
        text, _, signature = authorization.removeprefix("Bearer ").rpartition(".")
        expected = base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha512).digest()).rstrip(b"=")
        assert signature == expected.decode()
    claims = decoded(first.split(".")[1])
    assert (claims["aud"], claims["iss"], claims["scope"]) == ("urn:airflow.apache.org:task", "me", "execution")


def test_a_key_pair_signs_as_airflow_does(tmp_path):
    python = installed("3.3.2").with_name("python")
    made = subprocess.run(
        [
            python,
            "-c",
            "import sys; from airflow.api_fastapi.auth.tokens import *;"
            "k = generate_private_key('Ed25519'); open(sys.argv[1], 'wb').write(key_to_pem(k));"
            "print(key_to_jwk_dict(k)['kid'])",
            tmp_path / "key.pem",
        ],
        env=environment(AIRFLOW_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    with serving() as (port, seen):
        url = f"http://localhost:{port}/execution/"
        assert call(url, AUDIENCE, f"jwt_private_key_path={tmp_path}/key.pem") == (0, "")
        status, said = call(url, f"jwt_private_key_path={tmp_path}/none")
    header = decoded(seen[0][1].removeprefix("Bearer ").split(".")[0])
    assert (header["alg"], header["kid"]) == ("EdDSA", made.stdout.split()[-1])
    assert status == 1
    assert said.startswith(f"cannot read [api_auth] jwt_private_key_path {tmp_path}/none: ")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"status": 403, "body": b'{"detail": "Invalid auth token"}'},
            "the api-server refuses the token of a task (403: Invalid auth token):"
            " [api_auth] and [execution_api] must be the same there and here",
        ),
        (
            {"status": 404, "body": b"<html>"},
            "status 404: that is not the execution API; correct [core] execution_api_server_url",
        ),
        ({"status": 200, "body": b"{}"}, "status 200: that is not the execution API; correct"),
        (
            {"status": 302, "Location": "https://sso/"},
            "it redirects to https://sso/; set [core] execution_api_server_url to the final URL",
        ),
    ],
)
def test_what_is_answered_instead(answer, said):
    with serving(**answer) as (port, _):
        status, line = call(f"http://localhost:{port}/execution/", **SECRET)
    assert status == 1
    assert line.startswith(said)


def test_nobody_answers_or_a_proxy_does():
    port = free_port()
    url = f"http://localhost:{port}/execution/"
    assert call(url, **SECRET) == (
        1,
        "[Errno 111] Connection refused; tasks use this URL: correct it with [core] execution_api_server_url",
    )
    status, line = call("http://api.invalid/execution/", **SECRET)
    assert status == 1
    assert line.endswith("; tasks use this URL: correct it with [core] execution_api_server_url")
    with serving(503, b"squid") as (proxy, _):
        variables = {**SECRET, "HTTP_PROXY": f"http://user:passw0rd@127.0.0.1:{proxy}"}
        advice = f"through the proxy 127.0.0.1:{proxy}; add localhost to NO_PROXY"
        assert call(url, **variables) == (1, f"503 {advice}")
    assert call(url, **variables) == (1, f"[Errno 111] Connection refused {advice}")
    socks = call(url, **SECRET, ALL_PROXY="socks5://127.0.0.1:1")
    assert socks[1].endswith("add localhost to NO_PROXY")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A directory with certificates for airflow.example.com."""
    directory = tmp_path_factory.mktemp("certificates")
    program = Path(__file__).parent.parent / "programs" / "certificate.py"
    subprocess.run([installed("3.3.2").with_name("python"), program, directory, "airflow.example.com"], check=True)
    return directory


def test_certificates(certificates):
    with serving(certificate=certificates / "cert.pem", key=certificates / "key.pem") as (port, _):
        url = f"https://localhost:{port}/execution/"
        assert call(url, f"ssl_cert={certificates}/cert.pem", **SECRET) == (
            1,
            "the certificate is for airflow.example.com, not localhost;"
            f" set [core] execution_api_server_url = https://airflow.example.com:{port}/execution/",
        )
        status, line = call(url, **SECRET)
        assert status == 1
        assert line.startswith("tasks do not trust the certificate (self")
        assert line.endswith("[api] ssl_cert must name a file that contains it and its authority's")
        assert call(url, "ssl_cert=/none", **SECRET) == (
            1,
            "cannot read the certificates /none: No such file or directory",
        )
        plain = call(url.replace("https", "http"), **SECRET)
        assert plain[0] == 1
    with serving() as (port, _):
        status, line = call(f"https://localhost:{port}/execution/", **SECRET)
        assert (status, line[:10]) == (1, "TLS fails ")


def test_without_a_secret_no_task_gets_a_token(tmp_path):
    (tmp_path / "airflow.cfg").write_text("[api_auth]\n")
    status, line = call("http://localhost:1/execution/", home=tmp_path)
    assert (status, line) == (1, "[api_auth] jwt_secret is not configured, so no task gets a token")


def test_a_secret_that_only_airflow_can_look_up(tmp_path):
    (tmp_path / "airflow.cfg").write_text("[api_auth]\njwt_secret_cmd = printf by-command\n")
    with serving() as (port, seen):
        assert call(f"http://localhost:{port}/execution/", home=tmp_path) == (0, "")
    text, _, signature = seen[0][1].removeprefix("Bearer ").rpartition(".")
    digest = hmac.new(b"by-command", text.encode(), hashlib.sha512).digest()
    assert signature == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
