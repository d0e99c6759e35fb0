"""Small programs that stand in for an engine's process: good ones, stubborn ones, and one that refuses its load."""

from __future__ import annotations

import os
import time
from pathlib import Path

STUBBORN = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
depth = int(sys.argv[1])
if depth:
    subprocess.Popen([sys.executable, __file__, str(depth - 1), sys.argv[2]])
open(os.path.join(sys.argv[2], f"pid{depth}"), "w").write(str(os.getpid()))
time.sleep(600)
"""
"""Ignores what can be ignored, and so does its child, and the child of that: ``stubborn.py DEPTH FOLDER``."""

SERVER = """
import http.server, json, os, subprocess, sys, threading, time
port, mode = int(sys.argv[1]), sys.argv[2]
state = os.environ["MIXPREC_STATE_DIR"]
print("INFO 01-01 10:00:00 [x.py:1] loading", flush=True)
open(os.path.join(state, "progress.rank0"), "w").write("10 10")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write({"echo": b'{"choices": ' + body + b"}", "list": b"[]", "text": b"<html>"}[mode])
    def log_message(self, *args):
        print("request", flush=True)
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
if mode == "dies":
    threading.Timer(1.0, lambda: os._exit(7)).start()
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("goodbye", flush=True)
    sys.exit(3)
"""
"""Answers like a server: ``server.py PORT MODE``; exits with 3 when interrupted; leaves a helper behind."""


STAGED = """
import http.server, os, signal, socket, subprocess, sys, threading, time
port, mode = int(sys.argv[1]), sys.argv[2]
state = os.environ["MIXPREC_STATE_DIR"]
child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
worker = subprocess.Popen([sys.executable, "-c", child])
print("starting", flush=True)
if mode == "starting":
    time.sleep(600)
open(os.path.join(state, "progress.rank0"), "w").write("1 10")
print("loading", flush=True)
if mode == "loading":
    time.sleep(600)
if mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
class Shared(http.server.HTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
server = (Shared if mode == "shared" else http.server.HTTPServer)(("127.0.0.1", port), Handler)
if mode == "stopping":
    signal.signal(signal.SIGINT, lambda *_: print("asked to end", flush=True))
if mode == "killed while serving":
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
if mode == "worker killed":
    def watch():
        time.sleep(1.0)
        worker.kill()
        worker.wait()
        print("RuntimeError: a worker died", flush=True)
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
"""
"""``staged.py PORT MODE``: a server with a worker that ignores what it can; it stays in the stage that MODE names."""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def wait_for(found: object, *, seconds: float = 20.0) -> None:
    """Until ``found()`` is true."""
    until = time.monotonic() + seconds
    while not found():  # type: ignore[operator]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
