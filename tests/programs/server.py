"""A server for probes: `server.py KIND PORT [FILE]`; KIND is http, https or tcp.

http answers 503 until FILE exists, then 200 with a header `X-State: warm 7` and a body; without FILE at once.
"""

import http.server
import os
import socket
import ssl
import sys

kind, port, *rest = sys.argv[1:]
gate = rest[0] if rest else ""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_open = not gate or os.path.exists(gate)
        body = b"state=warm and ready\n" if is_open else b"state=cold\n"
        self.send_response(200 if is_open and self.headers.get("X-Token", "yes") == "yes" else 503)
        self.send_header("X-State", "warm 7" if is_open else "cold")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        print("asked", self.path, flush=True)


if kind == "tcp":
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("listening", flush=True)
    while True:
        listener.accept()[0].close()
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    if kind == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(os.path.dirname(__file__), "server.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()
