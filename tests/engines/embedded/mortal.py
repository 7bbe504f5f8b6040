"""A worker that answers like llama.cpp and dies when a prompt says "die" (or "die late")."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

config = json.loads(sys.stdin.readline())


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**whole, "choices": [choice]}).encode() + b"\n\n"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_args):
        pass

    def do_GET(self):
        if self.path == "/props":
            body = {"total_slots": 4, "default_generation_settings": {"n_ctx": 512}}
        else:
            body = {"data": [{"id": config["alias"], "owned_by": "llamacpp"}]}
        self.give("application/json", json.dumps(body).encode())

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        start, end = chunk({"role": "assistant", "content": "Hi"}), chunk({}, "stop")
        if b"die late" in asked:
            self.begin("text/event-stream")
            self.wfile.write(start)
            self.wfile.flush()
            os._exit(3)
        if b"die" in asked:
            os._exit(3)
        if b"beside it" in asked and not os.path.exists(sys.argv[1]):
            open(sys.argv[1], "w").close()
            threading.Event().wait()
        self.give("text/event-stream", start + end + b"data: [DONE]\n\n")

    def give(self, kind, body):
        self.begin(kind)
        self.wfile.write(body)

    def begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
ready = {"type": "ready", "host": "127.0.0.1", "port": server.server_port, "pid": os.getpid()}
sys.stdout.write(json.dumps(ready) + "\n")
sys.stdout.flush()
sys.stdin.read()
