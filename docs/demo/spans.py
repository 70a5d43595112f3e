"""The demo's collector: takes OTLP/HTTP protobuf on a free port of 127.0.0.1 and keeps the spans. Decodes
by itself, with field numbers from the OTLP specification, so that no package is needed and nothing of the
library's own encoder is trusted."""

import http.server
import struct
import threading
import time
import urllib.parse


class Span:
    def __init__(self, message, service):
        fields = Fields(message)
        self.service = service
        self.trace_id = fields.bytes(1).hex()
        self.span_id = fields.bytes(2).hex()
        self.parent_id = fields.bytes(4).hex()
        self.name = fields.bytes(5).decode()
        self.start_ns = fields.number(7)
        self.end_ns = fields.number(8)
        self.attributes = attributes(fields.all(9))
        self.failed = Fields(fields.bytes(15)).number(3) == 2

    def label(self):
        """Method and path of the request."""
        url = urllib.parse.urlsplit(self.attributes.get("url.full", ""))
        return f"{self.attributes.get('http.request.method', self.name)} {url.path}"

    def parameter(self, name):
        url = urllib.parse.urlsplit(self.attributes.get("url.full", ""))
        return urllib.parse.parse_qs(url.query).get(name, [""])[0]


class Fields:
    """The fields of one protobuf message by number, each a list of ints or bytes."""

    def __init__(self, message):
        self.values = {}
        at = 0
        while at < len(message):
            key, at = varint(message, at)
            if key & 7 == 0:
                value, at = varint(message, at)
            elif key & 7 == 2:
                size, at = varint(message, at)
                value, at = message[at : at + size], at + size
            elif key & 7 in (1, 5):
                size, kind = (8, "<Q") if key & 7 == 1 else (4, "<I")
                (value,), at = struct.unpack_from(kind, message, at), at + size
            else:
                raise ValueError(f"wire type {key & 7}")
            if at > len(message):
                raise ValueError("message cut short")
            self.values.setdefault(key >> 3, []).append(value)

    def all(self, number):
        return self.values.get(number, [])

    def bytes(self, number):
        return self.all(number)[-1] if number in self.values else b""

    def number(self, number):
        return self.all(number)[-1] if number in self.values else 0


def varint(message, at):
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("number cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def attributes(key_values):
    result = {}
    for key_value in key_values:
        fields = Fields(key_value)
        value = Fields(fields.bytes(2))
        if 1 in value.values:
            result[fields.bytes(1).decode()] = value.bytes(1).decode()
        elif 3 in value.values:
            result[fields.bytes(1).decode()] = value.number(3)
    return result


def decode(request):
    spans = []
    for resource_spans in Fields(request).all(1):
        fields = Fields(resource_spans)
        resource = attributes(Fields(fields.bytes(1)).all(1))
        for scope_spans in fields.all(2):
            for span in Fields(scope_spans).all(2):
                spans.append(Span(span, resource.get("service.name", "")))
    return spans


class Collector:
    def __init__(self):
        self.spans = []
        self.malformed = 0
        self.changed = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body):
        with self.changed:
            try:
                self.spans += decode(body)
            except (ValueError, struct.error):
                self.malformed += 1
            self.changed.notify_all()

    def wait_for(self, count, seconds):
        """Waits until so many spans came, at most so long."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while len(self.spans) < count and time.monotonic() < deadline:
                self.changed.wait(deadline - time.monotonic())

    def close(self):
        """Ends; all spans that came."""
        self.server.shutdown()
        self.server.server_close()
        with self.changed:
            return list(self.spans)
