"""The socket's server against clients of every kind: garbage, silence, floods, deaf ones, too many, another user's."""

import contextlib
import json
import os
import resource
import socket
import stat

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.control.client import Conversation, NotRunning
from orchestrator.control.server import CLIENTS_MAX, REPLY_BACKLOG_MAX, REQUEST_MAX, ControlServer
from orchestrator.model.control import (
    AttachRequest,
    Awaited,
    DownRequest,
    EventsRequest,
    MalformedRequest,
    PsRequest,
    Reply,
    ScaleRequest,
    SendRequest,
    SignalRequest,
    StatusRequest,
    Verb,
    WaitRequest,
    WhyRequest,
    decode_reply,
    decode_request,
)
from orchestrator.model.frames import ClientTerminal
from orchestrator.runtime.loop import Loop
from orchestrator.runtime.unix_socket import PATH_MAX, short_path


class ServerUnderTest:
    """A server whose requests are answered by `answer`, or kept in `waiting` where that is None."""

    def __init__(self, path):
        self.path, self.loop, self.waiting, self.asked, self.connections = path, Loop(), [], [], []
        self.answer = lambda request: Reply(rows=({"verb": request.verb.value},))
        self.server = ControlServer(path, self.loop, self.handle)

    def handle(self, request, client):
        self.asked.append(request)
        reply = self.answer(request)
        self.waiting.append(client) if reply is None else client.send(reply)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(self.path) as name:
            connection.connect(name)
        connection.setblocking(False)
        self.connections.append(connection)
        self.turn()
        return connection

    def turn(self, times=4):
        """Turns of the loop that do not wait: each has a timer that is due."""
        for _ in range(times):
            self.loop.call_in(0.0, lambda: None)
            self.loop.turn()

    def tell(self, connection, data):
        """Send all of it, however often the server has to read meanwhile; False where it has closed."""
        while data:
            try:
                data = data[connection.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return False
            self.turn(1)
        self.turn()
        return True

    def read(self, connection):
        """What has come, and whether the server has closed."""
        data = b""
        while True:
            self.turn(1)
            try:
                chunk = connection.recv(1 << 16)
            except BlockingIOError:
                return data, False
            except ConnectionResetError:
                return data, True
            if not chunk:
                return data, True
            data += chunk

    def ask(self, request=None):
        connection = self.connect()
        self.tell(connection, (request or PsRequest()).encode())
        data, closed = self.read(connection)
        assert closed
        return decode_reply(data)

    def close(self):
        for connection in self.connections:
            connection.close()
        self.turn()
        self.server.close()
        self.loop.close()


@pytest.fixture
def server(tmp_path):
    server = ServerUnderTest(tmp_path / "control.sock")
    yield server
    assert server.ask().rows == ({"verb": "ps"},), "after all that it does not answer any more"
    server.close()


def test_the_socket_is_its_users_alone_and_goes_with_the_server(tmp_path):
    server = ServerUnderTest(tmp_path / "control.sock")
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600
    server.close()
    assert not server.path.exists()
    with pytest.raises(NotRunning):
        Conversation(server.path)


def test_what_a_dead_supervisor_left_is_no_hindrance(tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    with pytest.raises(NotRunning):
        Conversation(tmp_path / "control.sock")
    server = ServerUnderTest(tmp_path / "control.sock")
    assert server.ask().ok
    server.close()


def test_a_home_with_a_path_longer_than_a_socket_address(tmp_path):
    long = tmp_path
    while len(str(long)) < 3 * PATH_MAX:
        long /= "a" * 50
    long.mkdir(parents=True)
    server = ServerUnderTest(long / "control.sock")
    fds = len(os.listdir("/proc/self/fd"))
    assert server.ask().ok
    server.connections.pop().close()
    assert len(os.listdir("/proc/self/fd")) == fds
    server.close()


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300).map(lambda data: data.replace(b"\n", b" ")))
def test_garbage_is_answered_with_an_error(server, data):
    connection = server.connect()
    server.tell(connection, data + b"\n")
    reply, closed = server.read(connection)
    assert closed
    assert (decode_reply(reply).ok, decode_reply(reply).status) == (False, 2)
    server.connections.remove(connection)
    connection.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@settings(max_examples=examples(200), deadline=None)
@given(st.dictionaries(st.sampled_from(["version", "verb", "names", "argument", "x"]), JSON | st.just(1)))
def test_any_object_is_a_request_or_malformed(fields):
    line = json.dumps(fields).encode()
    try:
        assert decode_request(line).verb in Verb
    except MalformedRequest as error:
        str(error).encode()


@settings(deadline=None)
@given(
    error=st.text(st.characters()),  # lone surrogates too
    rows=st.lists(st.dictionaries(st.text(st.characters()), st.text(st.characters()) | st.none() | st.integers())),
)
def test_a_reply_is_one_line_whatever_stands_in_it(error, rows):
    reply = Reply(ok=False, error=error, rows=tuple(rows))
    assert reply.encode().count(b"\n") == 1
    assert decode_reply(reply.encode()) == reply


@pytest.mark.parametrize("line", [b'{"version": 2, "verb": "ps"}', b'{"version": 1, "verb": "fly"}', b"[" * 60000, b"1",
                                  b'{"version": 1, "verb": "ps", "names": "a"}', b'{"version": 1, "verb": ["\\ud800"]}',
                                  b'{"version": 1, "verb": "ps", "argument": 3}', b"9" * 60000])  # fmt: skip
def test_what_is_no_request_is_said(server, line):
    connection = server.connect()
    server.tell(connection, line + b"\n")
    reply, closed = server.read(connection)
    assert (decode_reply(reply).ok, closed, server.asked) == (False, True, [])


@pytest.mark.parametrize(("verb", "names", "argument", "fault"), [
    ("scale", ["web"], "many", "cannot scale: name a component and a number up to 1000"),
    ("scale", ["web"], "9" * 5000, "cannot scale: name a component and a number up to 1000"),
    ("scale", ["web"], "000000001x", "cannot scale: name a component and a number up to 1000"),
    ("scale", ["a", "b"], "2", "cannot scale: name a component and a number up to 1000"),
    ("wait", [], "noon", "cannot wait for 'noon': ready or exit"),
    ("attach", ["web"], "80", "no size: b'80'"),
    ("attach", ["web"], "24x80 dance", "unknown way to attach: '24x80 dance'"),
    ("fly", [], "", "unknown verb 'fly'"),
])  # fmt: skip
def test_a_malformed_request_is_refused_in_one_line(server, verb, names, argument, fault):
    connection = server.connect()
    fields = {"version": 1, "verb": verb, "names": names, "argument": argument}
    server.tell(connection, json.dumps(fields).encode() + b"\n")
    reply = decode_reply(server.read(connection)[0])
    assert (reply.ok, reply.status, reply.error) == (False, 2, fault)
    assert server.asked == []


def test_another_version_is_refused_and_named():
    with pytest.raises(MalformedRequest, match=r"^unsupported protocol version 2, expected 1$"):
        decode_request(b'{"version": 2, "verb": "ps"}')


@pytest.mark.parametrize("request_", [
    ScaleRequest(("web",), 3), SignalRequest(("web", "a*"), "HUP"), SendRequest(("web",), "x\r\x00é"),
    WaitRequest((), Awaited.EXIT), AttachRequest(), AttachRequest(("web",), ClientTerminal(24, 80, takes_over=True)),
    PsRequest(("+x",)),
])  # fmt: skip
def test_a_request_is_read_as_it_was_written(request_):
    assert decode_request(request_.encode()) == request_


def test_each_verb_has_a_request():
    arguments = {Verb.SCALE: "1", Verb.WAIT: "exit", Verb.ATTACH: "24x80"}
    for verb in Verb:
        fields = {"version": 1, "verb": verb.value, "names": ["web"], "argument": arguments.get(verb, "")}
        assert decode_request(json.dumps(fields).encode()).verb is verb


def test_a_reply_of_another_version_is_read_as_far_as_possible():
    """Unknown fields are kept. Missing ones, and values of another type, become a value that says nothing."""
    line = b'{"ok": true, "status": "x", "mood": 1, "rows": [{"instance": "web", "color": "red"}]}'
    reply = WhyRequest().read_reply(line)
    (row,) = reply.rows
    assert (reply.ok, reply.status, reply.last) == (True, 0, True)
    assert (row["instance"], row["color"], row["restarts"], row["lines"]) == ("web", "red", 0, [])
    (row,) = StatusRequest().read_reply(b'{"rows": [{}]}').rows
    assert (row["states"], row["since"]) == ({}, None)


def test_one_byte_at_a_time_is_a_request_too(server):
    connection = server.connect()
    for byte in WhyRequest(("web",)).encode():
        server.tell(connection, bytes([byte]))
    assert server.asked == [WhyRequest(("web",))]


def test_a_line_of_100_megabytes_is_cut_off_early(server):
    connection = server.connect()
    sent = 0
    while server.tell(connection, b"x" * (1 << 20)) and sent < 100:
        sent += 1
    assert sent < 3, "all of it was taken"
    assert f"at most {REQUEST_MAX} bytes" in decode_reply(server.read(connection)[0]).error


def test_who_sends_on_after_his_request_is_cut_off(server):
    server.answer = lambda request: None
    connection = server.connect()
    server.tell(connection, WaitRequest().encode())
    while server.tell(connection, b"x" * REQUEST_MAX):
        pass
    assert not server.waiting[0].open
    server.answer = lambda request: Reply(rows=({"verb": request.verb.value},))


def test_who_never_reads_is_cut_off_and_forgotten(server):
    answer, server.answer = server.answer, lambda request: None
    gone = []
    server.tell(server.connect(), EventsRequest().encode())
    (client,) = server.waiting
    client.on_close = lambda: gone.append(client)
    event, sent = Reply(rows=({"state": "ready" * 1000},), last=False), 0
    while client.open:
        client.send(event)
        sent += len(event.encode())
    assert REPLY_BACKLOG_MAX < sent < 10 * REPLY_BACKLOG_MAX
    assert gone == [client]
    server.answer = answer


def test_who_vanishes_is_forgotten_and_may_be_answered_into_nothing(server):
    answer, server.answer = server.answer, lambda request: None
    connection, gone = server.connect(), []
    server.tell(connection, WaitRequest().encode())
    server.waiting[0].on_close = lambda: gone.append(1)
    connection.close()
    server.waiting[0].send(Reply(last=False))
    server.turn()
    server.waiting[0].send(Reply())
    assert gone == [1]
    server.answer = answer


def test_silent_clients_keep_nobody_out(server):
    silent = [server.connect() for _ in range(CLIENTS_MAX + 20)]
    assert server.ask().ok
    assert server.read(silent[0]) == (b"", True)
    assert server.read(silent[-1]) == (b"", False)


def test_of_too_many_that_wait_the_last_is_told(server):
    answer, server.answer = server.answer, lambda request: None
    for _ in range(CLIENTS_MAX):
        server.tell(server.connect(), WaitRequest().encode())
    reply, closed = server.read(server.connect())
    assert (decode_reply(reply).error, closed) == ("too many ask already", True)
    server.answer = answer
    server.connections.pop(0).close()
    server.turn()


def test_without_a_descriptor_it_turns_away_and_does_not_spin(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        connection.connect(str(server.path))
        server.turn()
        assert server.read(connection) == (b"", True)
    finally:
        for fd in taken:
            os.close(fd)
        connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_even_where_the_modes_let_him_in(server):
    for directory in (server.path.parent, *server.path.parent.parents):
        os.chmod(directory, stat.S_IMODE(os.stat(directory).st_mode) | 0o011)
        if directory.name == "tmp" or directory.parent == directory:
            break
    os.chmod(server.path, 0o666)
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            with Conversation(server.path) as conversation:
                (reply,) = conversation.ask(DownRequest())
            os._exit(0 if reply.error == "this system belongs to another user" and not reply.ok else 1)
        finally:
            os._exit(9)
    server.turn(1)
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        server.turn(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert server.asked == []
