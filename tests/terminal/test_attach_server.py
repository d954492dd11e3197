"""A breakpoint() in a server that goes on serving: noticed among its own lines, stepped through, and left (tmux)."""

import re
import shlex
import shutil
import sys

import pytest
from attaching import attach, detach, log, python, started
from harness import command_under_test, pump

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")

WEB = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        total = 41
        if self.path == "/order": breakpoint()
        total += 1
        body = f"total is {total}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
os.rename("port.new", "port")
print("serving", flush=True)
server.serve_forever()
"""
LOAD = """
import select, threading, urllib.request

def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{open('port').read()}/{path}") as answer:
        return answer.read().decode()

for number in range(10**6):
    if number == 60:
        threading.Thread(target=lambda: print("order:", ask("order") + "\\n", end="", flush=True)).start()
    ask(number)
    print(f"asked {number}\\n", end="", flush=True)
    select.select([], [], [], 0.02)
"""
SYSTEM = """
[components.web]
command = "{web}"
ready = {{ log = "serving" }}
[components.load]
command = "{load}"
depends_on = {{ web = "ready" }}
"""


def numbers(pattern, text):
    return [int(number) for number in re.findall(pattern, text, re.M)]


def test_a_breakpoint_in_a_server_under_load(home, tmux):
    home.write(
        SYSTEM.format(web=python(home, "web.py", WEB), load=python(home, "load.py", LOAD)), name="orchestrate.toml"
    )
    system = started(home, file="orchestrate.toml")
    system.wait_for(r'^orchestrate \| web is waiting for input at "\(Pdb\)"; answer it with: orchestrate attach web$')
    asked = len(numbers(r"^load +\| asked (\d+)$", system.text))
    assert pump(lambda: len(numbers(r"^load +\| asked (\d+)$", system.text)) > asked + 50, 30)
    terminal = tmux(columns=100, rows=40)
    ask = shlex.join(map(str, [*command_under_test(), "{}", "-C", home.path]))
    terminal.type("clear; " + ask.format("ps"))
    terminal.wait_for(r"^web +ready, waiting for input")
    terminal.type("clear; " + ask.format("why") + " web")
    terminal.wait_for(r'^web is ready; it is waiting for input at "\(Pdb\)"; answer it with: orchestrate attach web')
    attach(terminal, home, "web")
    terminal.wait_for(r"GET /\d+ HTTP")
    if sys.version_info >= (3, 13):  # there it stands at the call, before that after it
        terminal.type("n")
        terminal.wait_for(r"^-> total \+= 1$")
    terminal.type("n")
    terminal.wait_for(r"^-> body = ")
    terminal.type("p total * 1000")
    terminal.wait_for("42000$")
    terminal.type("c")
    system.wait_for(r"^load +\| order: total is 42$")
    detach(terminal, "web")
    system.wait_for(r"^orchestrate \| the terminal has detached from web; [\d,]+ lines were hidden\n(.*\n)*web ")
    asked = len(numbers(r"^load +\| asked (\d+)$", system.text))
    assert pump(lambda: len(numbers(r"^load +\| asked (\d+)$", system.text)) > asked + 50, 30)
    system.stop()
    assert system.text.count("web is waiting for input") == 1

    asked = numbers(r"^load +\| asked (\d+)$", system.text)
    assert asked == list(range(len(asked)))  # every line of the other, in order
    served = numbers(r'"GET /(\d+) HTTP', log(home, "web").decode())
    assert served[: len(asked)] == list(range(len(asked)))  # every line of its own is in its log
    shown = numbers(r'^web +\| .*"GET /(\d+) HTTP', system.text)
    assert shown == sorted(set(shown))
    (held,) = re.findall(r"([\d,]+) lines were hidden", system.text)
    lines = len(re.findall(r"^web +\| ", system.text, re.M))
    assert lines + int(held.replace(",", "")) == log(home, "web").count(b"\n")  # shown or counted, none twice
