"""Readiness over HTTP: what a page means, and the prober process against a real server."""

import base64
import contextlib
import http.server
import json
import os
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest
from facts import PATIENCE

from orchestrator.config.http_status import read_status
from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import FileProbe, HttpProbe, TcpProbe, UnixProbe
from orchestrator.process import prober
from orchestrator.process.fork import ForkedProcess, highest_descriptor
from orchestrator.process.prober import HttpResponse, _following, fetch, judge
from orchestrator.runtime.unix_socket import short_path

START = 1_700_000_000.0  # 2023-11-14T22:13:20Z
HEALTH = {
    "scheduler": {"status": "healthy", "latest_heartbeat": "2023-11-14T22:13:21.5+00:00"},
    "a/b~c": {"status": "healthy"},
    "old": {"status": "unhealthy", "latest_heartbeat": "2023-11-14T22:13:20Z"},
    "naive": "2023-11-14T22:13:21",
    "elsewhere": "2023-11-15T00:13:21+02:00",
    "list": ["healthy"],
    "null": None,
    "number": 7,
    "": "healthy",
}


def said(page, since=START, **probe):
    return judge(page, HttpProbe("http://x/", **probe), since)


def page(status=200, document=HEALTH):
    return HttpResponse(status, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("status", "wanted", "fault"),
    [
        (200, [200], ""),
        (204, [204], ""),
        (500, [200], "HTTP status 500"),
        (200, [204], "HTTP status 200"),
        (404, [404], ""),
        (204, ["2xx"], ""),
        (301, ["2xx"], "HTTP status 301"),
        (404, ["2xx", 404], ""),
        (401, ["200-299", "401-403"], ""),
        (404, ["200-299", "401-403"], "HTTP status 404"),
    ],
)
def test_status(status, wanted, fault):
    assert said(HttpResponse(status, b"no JSON at all \xff"), status=tuple(map(read_status, wanted))) == fault


def test_204_is_ready_by_default():
    assert said(HttpResponse(204, b"")) == ""
    assert said(HttpResponse(199, b"")) == "HTTP status 199"
    assert said(HttpResponse(300, b"")) == "HTTP status 300"


def test_no_page_is_its_own_reason():
    assert said("connection refused") == "connection refused"


@pytest.mark.parametrize(
    ("pointers", "fault"),
    [
        (["/scheduler/status"], ""),
        (["/a~1b~0c/status"], ""),
        (["/"], ""),
        (["/scheduler/status", "/old/status"], "old/status is unhealthy"),
        (["/nothere/status"], "nothere/status is missing"),
        (["/list/0"], "list/0 is missing"),
        (["/null"], "null is missing"),
        (["/number"], "number is missing"),
        (["/scheduler/status/deeper"], "scheduler/status/deeper is missing"),
        ([""], " is missing"),
    ],
)
def test_healthy(pointers, fault):
    assert said(page(), healthy=tuple(pointers)) == fault


@pytest.mark.parametrize(
    ("pointer", "fault"),
    [
        ("/scheduler/latest_heartbeat", ""),
        ("/naive", ""),
        ("/elsewhere", ""),
        ("/old/latest_heartbeat", "old/latest_heartbeat is older than this start"),
        ("/scheduler/status", "scheduler/status is missing"),
        ("/null", "null is missing"),
        ("/nothere", "nothere is missing"),
    ],
)
def test_fresh(pointer, fault):
    assert said(page(), fresh=(pointer,)) == fault


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe\x00", b"\x00"])
def test_a_body_that_is_no_json(body):
    assert said(HttpResponse(200, body), healthy=("/x",)) == "the answer is not JSON"


@pytest.mark.parametrize("document", [[], "healthy", None, 7, True])
def test_json_that_is_no_object(document):
    assert said(page(document=document), healthy=("/x",)) == "x is missing"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path; `/gate` waits for the test."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/gate":
            self.server.gate.acquire()
        self.server.sent = self.headers["X-Name"], self.headers["Host"]
        self.server.authorized = self.headers["Authorization"]
        if self.path in ("/moved", "/round"):
            self.send_response(302)
            self.send_header("Location", "/health" if self.path == "/moved" else "/round")
            self.end_headers()
            return
        body = b"[" * 100_000 if self.path == "/deep" else json.dumps(HEALTH).encode()
        if self.path == "/garbage":
            self.wfile.write(b"\x00\x01 what\r\n\r\n")
            return
        self.send_response(503 if self.path == "/down" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def process():
    """A prober; it is forked before the test's server has a thread."""
    forked = ForkedProcess("prober", prober.run)
    forked.fork(highest_descriptor())
    yield forked
    forked.channel.close()
    forked.kill()
    forked.reap()


@pytest.fixture
def server(process):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.asked, server.gate = [], threading.Semaphore(0)
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.gate.release(100)
    server.shutdown()
    server.server_close()
    thread.join()


def ask(process, number, url, timeout=PATIENCE, since=START, root=0, **probe):
    process.channel.send(Question(("web", number), HttpProbe(url, timeout=timeout, **probe), since, root))


def ask_tcp(process, number, port, root=0):
    process.channel.send(Question(("web", number), TcpProbe("127.0.0.1", port, timeout=PATIENCE), START, root))


def answer(process):
    assert select.select([process.channel.fileno()], [], [], PATIENCE)[0], "no answer"
    return process.channel.receive()


@pytest.mark.parametrize(
    ("path", "probe", "expected"),
    [
        ("/health", {"healthy": ("/scheduler/status",), "fresh": ("/scheduler/latest_heartbeat",)}, "healthy"),
        ("/health", {"healthy": ("/old/status",)}, "old/status is unhealthy"),
        ("/down", {}, "HTTP status 503"),
        ("/down", {"status": (range(503, 504),)}, "healthy"),
        ("/moved", {}, "healthy"),
    ],
)
def test_a_question_is_answered(process, server, path, probe, expected):
    ask(process, 7, server.url + path, **probe)
    assert answer(process) == Answer(("web", 7), expected == "healthy", expected)


@pytest.mark.parametrize("path", ["/health", "/moved"])
def test_user_and_password_of_the_url_are_sent_as_basic_authentication(process, server, path):
    ask(process, 1, server.url.replace("//", "//me:a%40b@") + path)
    assert answer(process).holds
    assert server.authorized == "Basic " + base64.b64encode(b"me:a@b").decode()


def test_the_password_does_not_follow_to_another_server():
    assert _following("http://u:p@a/x", "http://b/y") == "http://b/y"
    assert _following("http://u:p@a/x", "https://a/y") == "https://a/y"
    assert _following("http://u:p@a/x", "http://a/y") == "http://u:p@a/y"


def test_a_fault_does_not_repeat_the_url():
    for url in ("http://a/secret\x01", "http://a:b secret/", "ftp://secret", "http://[secret"):
        assert "secret" not in fetch(HttpProbe(url, timeout=1.0))


def test_nobody_there_is_an_answer(process):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ask(process, 1, f"http://127.0.0.1:{unused.getsockname()[1]}/")
        assert answer(process) == Answer(("web", 1), False, "connection refused")


def test_one_slow_answer_holds_up_no_other(process, server):
    ask(process, 1, server.url + "/gate")
    ask(process, 2, server.url + "/health")
    assert answer(process).key == ("web", 2)
    server.gate.release()
    assert answer(process) == Answer(("web", 1), True, "healthy")


def test_questions_for_a_page_that_is_on_its_way_share_it(process, server):
    for number in range(5):
        ask(process, number, server.url + "/gate", healthy=("/old/status",) if number % 2 else ())
    ask(process, 9, server.url + "/health")
    assert answer(process).key == ("web", 9), "all questions before this one have been read"
    server.gate.release()
    answers = sorted((answer(process) for _ in range(5)), key=lambda a: a.key)
    assert [a.holds for a in answers] == [True, False, True, False, True]
    assert server.asked.count("/gate") < 5


def test_an_answer_that_does_not_come_is_a_timeout(process, server):
    ask(process, 1, server.url + "/gate", timeout=0.2)
    assert answer(process) == Answer(("web", 1), False, "no complete answer within 0.2 s")


@pytest.mark.parametrize(
    ("url", "probe"),
    [
        ("{}/garbage", {}),
        ("{}/deep", {"healthy": ("/x",)}),
        ("{}/bad path", {}),
        ("nonsense://x/", {}),
        ("http://[::1/", {}),
        ("http://127.0.0.1:99999/", {}),
        ("http://..nothere.invalid/", {}),
        ("no url at all", {}),
    ],
)
def test_whatever_goes_wrong_is_an_answer_again_and_again(process, server, url, probe):
    """Without an answer nothing is ever asked again, and the system waits for ever."""
    for number in (1, 2):
        ask(process, number, url.format(server.url), **probe)
        told = answer(process)
        assert (told.key, told.holds) == (("web", number), False)
        assert told.text


@pytest.mark.parametrize(
    ("probe", "fault"),
    [
        ({"headers": (("content-TYPE", "^text/plain"),), "body": "^all is (well|fine)$"}, ""),
        ({"headers": (("Content-Type", "json"),)}, "header Content-Type does not match 'json'"),
        ({"headers": (("X-None", ""),)}, "header X-None does not match ''"),
        ({"body": "ill"}, "the body does not match 'ill'"),
        ({"body": "\udcff"}, r"the body does not match '\udcff'"),
    ],
)
def test_headers_and_body_have_to_match(probe, fault):
    there = HttpResponse(200, b"all is well", (("Content-Type", "text/plain; charset=utf-8"),))
    assert judge(there, HttpProbe("http://x/", **probe), START) == fault


def test_header_fields_are_sent(process, server):
    ask(process, 1, server.url + "/named", request_headers=(("X-Name", "web"), ("Host", "example.test")))
    assert answer(process).holds
    assert server.sent == ("web", "example.test")


def test_a_redirect_that_is_wanted_is_the_answer(process, server):
    ask(process, 1, server.url + "/moved", status=(range(302, 303),))
    assert answer(process).holds
    ask(process, 2, server.url + "/round")
    assert answer(process) == Answer(("web", 2), False, "too many redirects")


def test_tcp(process):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        ask_tcp(process, 1, port)
        assert answer(process) == Answer(("web", 1), True, "healthy")
    ask_tcp(process, 2, port)
    assert answer(process) == Answer(("web", 2), False, "connection refused")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_whose_socket_answers(process, server):
    """The server is our own; a process that listens to nothing stands for the component."""
    stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        for number, root in enumerate((os.getpid(), stranger.pid, 0)):
            ask(process, number, server.url + "/health", root=root)
            told = answer(process)
            ask_tcp(process, number, server.server_port, root=root)
            again = answer(process)
            assert (told.holds, told.text) == (again.holds, again.text)
            assert told.holds == (root != stranger.pid)
            if not told.holds:
                assert told.text.startswith(f"another process owns that socket: {os.getpid()} (")
    finally:
        stranger.communicate()


@contextlib.contextmanager
def dripping(pieces, *, tls=False):
    """A server that takes a request and sends a piece every 0.05 s; it counts what it sent."""
    sent, stop = [], threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    if not tls:
                        connection.recv(4096)
                    for piece in pieces:
                        if stop.wait(0.05):
                            return
                        connection.sendall(piece)
                        sent.append(piece)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], sent
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",  # the body drips
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",  # until it closes
        b"HTTP/1.1 200 OK\r\nX-Header: ",  # a header drips
        b"HT",
    ],
)
def test_an_answer_that_drips_is_late(process, head):
    with dripping([head, *([b"x"] * 100_000)]) as (port, sent):
        ask(process, 1, f"http://127.0.0.1:{port}/", timeout=0.5)
        told = answer(process)
        assert (told.holds, told.text) == (False, "no complete answer within 0.5 s")
        assert 2 < len(sent) < 60


def test_a_handshake_that_drips_is_late(process):
    with dripping([b"\x16\x03\x03\x40\x00", *([b"x"] * 100_000)], tls=True) as (port, _):
        ask(process, 1, f"https://127.0.0.1:{port}/", timeout=0.5)
        assert answer(process) == Answer(("web", 1), False, "no complete answer within 0.5 s")


def test_redirects_share_one_deadline(process):
    moved = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with dripping([moved[:20], moved[20:40], moved[40:60], moved[60:]]) as (port, _):
        ask(process, 1, f"http://127.0.0.1:{port}/", timeout=0.3)
        assert answer(process).text == "no complete answer within 0.3 s"


def test_questions_with_different_limits_do_not_share_an_answer(process, server):
    ask(process, 1, server.url + "/gate", timeout=PATIENCE)
    ask(process, 2, server.url + "/gate", timeout=0.2)
    assert answer(process) == Answer(("web", 2), False, "no complete answer within 0.2 s")
    server.gate.release(2)
    assert answer(process) == Answer(("web", 1), True, "healthy")


@pytest.mark.parametrize("depth", [1, 40])
def test_a_unix_socket(process, tmp_path, depth):
    directory = tmp_path.joinpath(*["deep"] * depth)
    directory.mkdir(parents=True)
    path = directory / "app.sock"
    probe = UnixProbe(str(path), timeout=PATIENCE)
    process.channel.send(Question(("web", 1), probe, START))
    assert answer(process) == Answer(("web", 1), False, "no such file or directory")
    with socket.socket(socket.AF_UNIX) as listening, short_path(path) as short:
        listening.bind(short)
        process.channel.send(Question(("web", 2), probe, START))
        assert answer(process) == Answer(("web", 2), False, "connection refused")
        listening.listen()
        stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        for number, root in enumerate((0, os.getpid(), stranger.pid)):
            process.channel.send(Question(("web", number), probe, START, root))
            told = answer(process)
            assert told.holds == (root != stranger.pid), told
        assert told.text.startswith(f"another process owns that socket: {os.getpid()} (")
        stranger.communicate()


@pytest.mark.parametrize(
    "url", ["http+unix://{quoted}/health", "http+unix://{path}:/health", "http+unix://{quoted}/moved"]
)
def test_http_over_a_unix_socket(process, tmp_path, url):
    path = str(tmp_path / "app.sock")

    class Server(socketserver.UnixStreamServer):
        asked, authorized, sent = [], None, None

    class OverUnix(Handler):
        def setup(self):
            super().setup()
            self.client_address = ("unix", 0)

    with Server(path, OverUnix) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        ask(process, 1, url.format(quoted=path.replace("/", "%2F"), path=path), unix=path)
        told = answer(process)
        server.shutdown()
        thread.join()
    assert told == Answer(("web", 1), True, "healthy")
    assert server.sent[1] == "localhost"


def test_a_file_counts_if_it_was_written_after_the_start(process, tmp_path):
    path = tmp_path / "app.pid"
    probe = FileProbe(str(path))
    started = time.time()
    process.channel.send(Question(("web", 1), probe, started))
    assert answer(process) == Answer(("web", 1), False, "no such file or directory")
    path.write_text("1")
    process.channel.send(Question(("web", 2), probe, started))
    assert answer(process).holds
    os.utime(path, (started - 10, started - 10))
    process.channel.send(Question(("web", 3), probe, started))
    assert answer(process) == Answer(("web", 3), False, "older than this start")


def test_it_ends_with_its_channel(process):
    process.channel.close()
    process.reap()
