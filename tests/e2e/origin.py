"""The servers that traced programs talk to: an HTTP/1.1 origin that records what it is sent, and an FTP server
that must never see anything of ours. Both listen on 127.0.0.1 from construction on; neither knows of spans.

Paths of the origin:
  /text               a line of text                /status/N       that status, a short body
  /bytes/N            N bytes                       /chunked/N      N chunks of ten bytes
  /redirect/N/PATH    N redirects, then /PATH       /elsewhere/PATH a redirect to http://localhost/PATH
  /upload             says how much came in         /hang           never answers
  /close              ends without an answer        /short          less body than announced
  /git/...            git's smart HTTP              anything in `files`, with Range
"""

import http.server
import os
import re
import socket
import socketserver
import subprocess
import threading
import time
from collections import namedtuple

OURS = ("traceparent", "tracestate", "baggage")


class Request(namedtuple("Request", "method path version headers body peer")):
    """headers: (lower-case name, value) in the order of arrival; peer: (address, port) of the client."""

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    @property
    def traceparent(self):
        """The one traceparent, None without any; two are an error whoever sent them."""
        values = self.all("traceparent")
        if len(values) > 1:
            raise AssertionError(f"{self.method} {self.path} carries {values}")
        return values[0] if values else None

    @property
    def without_ours(self):
        """What must be the same bare and preloaded."""
        kept = [(key, value) for key, value in self.headers if key not in OURS]
        return (self.path, self.method, self.version, kept, self.body)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return "Thu, 01 Jan 2026 00:00:00 GMT"  # two runs of one command must see the same

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = bytearray()
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return bytes(body)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _serve(self):
        origin = self.server.origin
        body = self._body()
        headers = [(key.lower(), value) for key, value in self.headers.items()]
        origin.note(Request(self.command, self.path, self.request_version, headers, body,
                            self.client_address))
        path = self.path.split("?")[0]
        if path in origin.files:
            return self._file(origin.files[path])
        first, _, rest = path[1:].partition("/")
        handler = getattr(self, "_path_" + first, None)
        return handler(rest, body) if handler else self._answer(404, b"not here\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_PURGE = _serve

    def _answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status >= 200 and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)
        self.wfile.flush()

    def _file(self, content):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return self._answer(200, content, ("Accept-Ranges", "bytes"))
        first = int(match[1])
        last = min(int(match[2]) if match[2] else len(content) - 1, len(content) - 1)
        if first > last:
            return self._answer(416, b"", ("Content-Range", f"bytes */{len(content)}"))
        return self._answer(206, content[first:last + 1], ("Accept-Ranges", "bytes"),
                            ("Content-Range", f"bytes {first}-{last}/{len(content)}"))

    def _path_text(self, rest, body):
        self._answer(200, b"a line of text\n", ("Content-Type", "text/plain"))

    def _path_status(self, rest, body):
        self._answer(int(rest), f"status {rest}\n".encode())

    def _path_bytes(self, rest, body):
        self._answer(200, (b"0123456789abcdef" * (int(rest) // 16 + 1))[:int(rest)])

    def _path_chunked(self, rest, body):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(int(rest)):
            self.wfile.write(b"a\r\nten bytes\n\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _path_redirect(self, rest, body):
        left, _, target = rest.partition("/")
        left = int(left) - 1
        where = f"/redirect/{left}/{target}" if left else f"/{target}"
        self._answer(302, b"moved\n", ("Location", where))

    def _path_elsewhere(self, rest, body):
        self._answer(302, b"moved\n", ("Location", f"http://localhost:{self.server.origin.port}/{rest}"))

    def _path_upload(self, rest, body):
        self._answer(201, f"received {len(body)} bytes\n".encode())

    def _path_hang(self, rest, body):
        self.close_connection = True
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def _path_close(self, rest, body):
        self.close_connection = True

    def _path_short(self, rest, body):
        self.close_connection = True
        self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes\n")

    def _path_git(self, rest, body):
        if not self.server.origin.git_root:
            return self._answer(404, b"no repositories\n")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.server.origin.git_root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": "/" + rest,
            "QUERY_STRING": self.path.partition("?")[2],
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, check=True,
                                stdout=subprocess.PIPE, timeout=60).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = int(dict(headers).get("Status", "200").split()[0])
        return self._answer(status, content, *[h for h in headers if h[0] != "Status"])


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # clients that go away in the middle are part of the tests


class Origin:
    def __init__(self):
        self._changed = threading.Condition()
        self._requests = []
        self.files = {}
        self.git_root = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def note(self, request):
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    @property
    def requests(self):
        with self._changed:
            return list(self._requests)

    def take(self):
        """All requests since the last call; a request is recorded before its answer begins."""
        with self._changed:
            taken, self._requests = self._requests, []
            return taken

    def wait_for(self, count, deadline=20.0):
        end = time.monotonic() + deadline
        with self._changed:
            while len(self._requests) < count:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self._requests)} requests, not {count}")
                self._changed.wait(left)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _FtpHandler(socketserver.StreamRequestHandler):
    """As much of RFC 959 and RFC 2428 as a client needs to fetch a file."""

    def _say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        content = self.server.content
        data = None
        self._say("220 ready")
        while True:
            line = self.rfile.readline().decode("latin-1").strip()
            if not line:
                break
            self.server.commands.append(line)
            verb = line.split()[0].upper()
            if verb == "EPSV":
                data = socket.create_server(("127.0.0.1", 0))
                self._say(f"229 passive (|||{data.getsockname()[1]}|)")
            elif verb == "RETR":
                self._say("150 coming")
                connection, _ = data.accept()
                connection.sendall(content)
                connection.close()
                data.close()
                self._say("226 done")
            elif verb == "QUIT":
                self._say("221 bye")
                break
            else:
                self._say({"USER": "331 password", "PASS": "230 welcome", "PWD": '257 "/" is here',
                           "CWD": "250 there", "TYPE": "200 yes",
                           "SIZE": f"213 {len(content)}"}.get(verb, "502 no"))


class Ftp:
    def __init__(self, content):
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _FtpHandler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.content = content
        self._server.commands = self.commands = []
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
