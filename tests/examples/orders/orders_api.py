"""A mock of the API that the DAG asks for orders."""

import http.server
import json
import os

ORDERS = [{"item": "tea", "count": 3}, {"item": "rice", "count": 1}]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(ORDERS).encode()
        self.send_response(200 if self.path == "/orders" else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
