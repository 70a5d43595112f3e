"""An HTTPS server for test_transport_curl.c: answers by the path, and reports each request as a line
"connection method path length sum encoding authorization" on its standard output."""

import gzip
import http.server
import ssl
import sys
import threading

ANSWERS = {
    "/v1/traces": (200, {}, b""),
    "/hang-on-second": (200, {}, b""),
    "/busy": (503, {"Retry-After": "7"}, b"later"),
    "/huge": (400, {}, b"x" * (1 << 20)),
    "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"y" * (10 << 20))),
    "/packed": (200, {"Content-Encoding": "gzip", "Content-Type": "text/packed"}, gzip.compress(b"hello")),
    "/garbage": (200, {"Content-Encoding": "gzip"}, b"hello"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self):
        super().setup()
        Handler.connections += 1
        self.connection_number = Handler.connections
        self.requests = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.connection_number, self.command, self.path, len(body), sum(body),
              self.headers.get("Content-Encoding", "-"), self.headers.get("Authorization", "-"),
              flush=True)
        self.requests += 1
        if self.path == "/hang-on-second" and self.requests == 2:
            self.rfile.read(1)
            self.close_connection = True
            return
        status, headers, answer = ANSWERS[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        try:
            self.wfile.write(answer)
        except OSError:
            self.close_connection = True

    def log_message(self, *args):
        pass


def main():
    certificate, key, client_ca = sys.argv[1:4]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca != "-":
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the test closes it, or is gone


main()
