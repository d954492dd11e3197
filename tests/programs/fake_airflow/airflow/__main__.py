"""`airflow COMPONENT`: says its line, shows in the health answer, ends at TERM."""

import base64
import datetime
import hmac
import http.server
import json
import os
import signal
import sys
import threading

from airflow.configuration import AIRFLOW_HOME, conf
from airflow.utils import db

LINES = {
    "scheduler": "Adopting or resetting orphaned tasks for active dag runs",
    "triggerer": "Starting the triggerer",
    "dag-processor": "Starting the Dag Processor Job",
}


def beat_path(name):
    return os.path.join(AIRFLOW_HOME, f"{name.replace('-', '_')}.beat")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(f"GET {self.path}", flush=True)
        if self.path.startswith("/execution/dag-runs/count?"):
            allowed = is_signed(self.headers["Authorization"].partition(" ")[2], conf.get("api_auth", "jwt_secret"))
            self.send_response(200 if allowed else 403)
            self.end_headers()
            self.wfile.write(b"0" if allowed else b'{"detail": "Invalid auth token"}')
            return
        answer = {"metadatabase": {"status": "healthy"}}
        for name in LINES:
            key = name.replace("-", "_")
            answer[key] = {"status": None}
            if os.path.exists(beat_path(name)):
                with open(beat_path(name)) as file:
                    answer[key] = {"status": "healthy", f"latest_{key}_heartbeat": file.read()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args):
        pass


def is_signed(token, secret):
    text, _, signature = token.rpartition(".")
    digest = hmac.new(secret.encode(), text.encode(), "sha512").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == signature


def main():
    name = sys.argv[1]
    if sys.argv[1:] == ["db", "migrate"]:
        db.initdb()
        return 0
    if name == "print-configuration":
        for option in sys.argv[2:] or ("core.executor", "core.execution_api_server_url"):
            print(option if sys.argv[2:] else option.partition(".")[2], "=", conf.get(*option.split(".")))
        return 0
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    print(
        "\x1b[32m", name, "\x1b[0m started with executor", conf.get("core", "executor"), "in", os.getcwd(), flush=True
    )
    if os.environ.get("FAKE_DYING") == name:
        print("about to die", flush=True)
        return 0
    if name == "api-server":
        port = int(conf.get("api", "port"))
        server = http.server.ThreadingHTTPServer((conf.get("api", "host"), port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"Uvicorn running on http://0.0.0.0:{port} (Press CTRL+C to quit)", flush=True)
        print("tasks talk to", conf.get("core", "execution_api_server_url"), flush=True)
    else:
        if os.environ.get("FAKE_STALE") != name:
            beat(name)
        if os.environ.get("FAKE_SLOW") == name:
            with open(os.environ["FAKE_GATE"]) as gate:
                gate.read()
        if os.environ.get("FAKE_MUTE") != name:
            print(LINES[name], flush=True)
        if os.environ.get("FAKE_FLOOD") == name:
            ended.wait(1.5)
            for number in range(500):
                print(
                    f"flood {number}: a line of a log that goes on for a while, as Airflow's do at a start", flush=True
                )
    while not ended.wait(3600):
        pass
    print(name, "says goodbye", flush=True)
    return 0


def beat(name):
    with open(beat_path(name) + ".new", "w") as file:
        file.write(datetime.datetime.now(datetime.timezone.utc).isoformat())
    os.rename(beat_path(name) + ".new", beat_path(name))


if __name__ == "__main__":
    sys.exit(main())
