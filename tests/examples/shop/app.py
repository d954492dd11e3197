"""Counts visits in PostgreSQL and greets. It asks by psql, so that the example needs no Python packages."""

import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def ask(sql):
    command = ["psql", "-h", f"{os.getcwd()}/data", "-U", "shop", "-d", "postgres", "-qAtc", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Visits(BaseHTTPRequestHandler):
    def do_GET(self):
        sql = "SELECT 1" if self.path == "/health" else "INSERT INTO visit DEFAULT VALUES RETURNING id"
        body = f"{os.environ['GREETING']}, visit {ask(sql)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Visits)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
