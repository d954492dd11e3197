"""An SMTP server that accepts every mail and prints it."""

import contextlib
import os
import socketserver


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):  # a readiness probe connects and leaves
            self.converse()

    def converse(self):
        self.say("220 mail sink")
        for line in iter(self.rfile.readline, b""):
            verb = line.split(None, 1)[0].upper() if line.strip() else b""
            if verb == b"DATA":
                self.say("354 end with a dot")
                self.print_mail()
            self.say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def print_mail(self):
        for line in iter(self.rfile.readline, b".\r\n"):
            print(line.decode("utf-8", "replace").rstrip(), flush=True)

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
