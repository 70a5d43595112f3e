"""An OTLP/HTTP trace receiver for the tests, with a mind of its own.

It decodes with the official opentelemetry-proto messages (google's protobuf, an implementation that
shares nothing with ours), keeps every span, and can misbehave on demand in the ways of FAULTS. It knows
nothing of the shim. Connections are served by one thread each; all state is behind one condition variable.
"""

import functools
import gzip
import http.server
import socket
import threading
import time
from collections import namedtuple

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}

# What the receiver can be told to do instead of answering properly.
FAULTS = (
    "hang",            # takes the request, never answers
    "status-400",
    "status-429",
    "status-503",
    "garbage",         # bytes that are no HTTP
    "bad-protobuf",    # 200 with a body that does not parse
    "huge",            # 200 with a body without end
    "huge-gzip",       # 200 with a small body that inflates to 256 MiB
    "endless-headers", # a status line and headers without end
    "partial-success", # 200, but one span of each request rejected
    "slow",            # a proper answer, but a quarter of a second late
    "trickle",         # a proper answer, one byte per second
    "close",           # takes the request, ends the connection without a word
    "reset",           # the same with RST
)

Request = namedtuple("Request", "path headers body_len spans connection")


def any_value(value):
    """The python value of an AnyValue."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [any_value(v) for v in value.array_value.values]
    if which == "kvlist_value":
        return {kv.key: any_value(kv.value) for kv in value.kvlist_value.values}
    return getattr(value, which)


def attributes(key_values):
    """A dict of a list of KeyValue; a key that occurs twice is an error of the sender."""
    result = {}
    for kv in key_values:
        if kv.key in result:
            raise ValueError(f"attribute {kv.key} occurs twice")
        result[kv.key] = any_value(kv.value)
    return result


class Span:
    """One received span; conversions happen on first use, so that 200,000 of them stay cheap."""

    __slots__ = ("message", "resource_message", "scope", "_attributes", "_resource")

    def __init__(self, message, resource_message, scope):
        self.message = message
        self.resource_message = resource_message
        self.scope = scope
        self._attributes = None
        self._resource = None

    name = property(lambda self: self.message.name)
    kind = property(lambda self: KINDS.get(self.message.kind, self.message.kind))
    trace_id = property(lambda self: self.message.trace_id.hex())
    span_id = property(lambda self: self.message.span_id.hex())
    parent_id = property(lambda self: self.message.parent_span_id.hex())
    trace_state = property(lambda self: self.message.trace_state)
    flags = property(lambda self: self.message.flags)
    start = property(lambda self: self.message.start_time_unix_nano)
    end = property(lambda self: self.message.end_time_unix_nano)
    status = property(lambda self: STATUSES[self.message.status.code])
    status_message = property(lambda self: self.message.status.message)

    @property
    def attributes(self):
        if self._attributes is None:
            self._attributes = attributes(self.message.attributes)
        return self._attributes

    @property
    def resource(self):
        if self._resource is None:
            self._resource = attributes(self.resource_message.attributes)
        return self._resource

    @property
    def traceparent(self):
        """What this span sends along when it is sampled: its own ids."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 0xff:02x}"

    def __repr__(self):
        return (f"<{self.kind} {self.name!r} {self.status} trace={self.trace_id} id={self.span_id} "
                f"parent={self.parent_id or None} {self.attributes}>")


def spans_of(message):
    """All spans of an ExportTraceServiceRequest."""
    return [Span(span, resource_spans.resource, scope_spans.scope)
            for resource_spans in message.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans]


@functools.cache
def _bomb():
    return gzip.compress(b"\x00" * (256 << 20), 1)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):
        pass

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

    def do_GET(self):
        """Only the barrier of Receiver.drain() asks."""
        self._answer(200, b"")

    def do_POST(self):
        receiver = self.server.receiver
        body = self._body()
        fault = receiver.fault
        spans, message = [], None
        try:
            raw = body
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(body)
            message = trace_service_pb2.ExportTraceServiceRequest.FromString(raw)
            spans = spans_of(message)
        except Exception as error:  # kept for the test: a request that does not parse is a failure
            receiver.note_error(f"{type(error).__name__}: {error}")
        taken = fault in (None, "partial-success", "huge", "huge-gzip", "bad-protobuf", "trickle", "slow")
        receiver.note_request(Request(self.path, dict(self.headers.items()), len(body), spans,
                                      self.client_address), taken)
        if fault:
            getattr(self, "_fault_" + fault.replace("-", "_"))()
        else:
            self._answer(200, b"")

    def _answer(self, status, body, *headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _until_gone(self):
        """Waits until the other side ends the connection or the test is over."""
        self.close_connection = True
        self.connection.settimeout(None)
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def _send_until_gone(self, head, chunk):
        self.close_connection = True
        try:
            self.connection.sendall(head)
            while not self.server.receiver.stopping:
                self.connection.sendall(chunk)
        except OSError:
            pass

    def _fault_hang(self):
        self._until_gone()

    def _fault_status_400(self):
        self._answer(400, b"")

    def _fault_status_429(self):
        self._answer(429, b"", ("Retry-After", "3600"))

    def _fault_status_503(self):
        self._answer(503, b"")

    def _fault_garbage(self):
        self.close_connection = True
        self.connection.sendall(b"\x00\xff\x16\x03garbage\r\n" * 64)

    def _fault_bad_protobuf(self):
        self._answer(200, b"\x0a\xff\xff\xff\xff\xff\xff")

    def _fault_huge(self):
        self._send_until_gone(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                              b"Content-Length: 9000000000000000000\r\n\r\n", b"\x00" * 65536)

    def _fault_huge_gzip(self):
        self._answer(200, _bomb(), ("Content-Encoding", "gzip"))

    def _fault_endless_headers(self):
        self._send_until_gone(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n")

    def _fault_partial_success(self):
        response = trace_service_pb2.ExportTraceServiceResponse()
        response.partial_success.rejected_spans = 1
        response.partial_success.error_message = "one span refused by the test"
        self._answer(200, response.SerializeToString())

    def _fault_trickle(self):
        self.close_connection = True
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        try:
            for byte in answer:
                self.connection.sendall(bytes([byte]))
                if self.server.receiver.stop_event.wait(1.0):
                    return
        except OSError:
            pass

    def _fault_slow(self):
        self.server.receiver.stop_event.wait(0.25)
        self._answer(200, b"")

    def _fault_close(self):
        self.close_connection = True

    def _fault_reset(self):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def process_request(self, request, client_address):
        self.receiver.note_open(client_address, request)
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            self._serve(request, client_address)
        finally:
            self.receiver.note_closed(client_address)

    def _serve(self, request, client_address):
        try:
            if self.tls is not None:
                request.settimeout(20)
                request = self.tls.wrap_socket(request, server_side=True)
                request.settimeout(None)
                self.receiver.note_open(client_address, request)
            self.finish_request(request, client_address)
        except OSError:  # the client went away: its own affair
            pass
        finally:
            self.shutdown_request(request)


class Receiver:
    """Listens on 127.0.0.1 from construction on; close() ends it. `tls` is an ssl.SSLContext or None."""

    def __init__(self, fault=None, tls=None):
        self._changed = threading.Condition()
        self._spans = []
        self._requests = []
        self._errors = []
        self._connections = 0
        self._open = {}
        self._fault = None
        self.stop_event = threading.Event()
        self.set_fault(fault)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._server.tls = tls
        self._tls = tls
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def fault(self):
        return self._fault

    @property
    def stopping(self):
        return self.stop_event.is_set()

    def set_fault(self, fault):
        """From the next request on; None: behave."""
        if fault is not None and fault not in FAULTS:
            raise ValueError(fault)
        self._fault = fault

    def note_request(self, request, taken):
        with self._changed:
            self._requests.append(request)
            if taken:
                self._spans.extend(request.spans)
            self._changed.notify_all()

    def note_error(self, text):
        with self._changed:
            self._errors.append(text)
            self._changed.notify_all()

    def note_open(self, peer, connection):
        with self._changed:
            self._connections += peer not in self._open
            self._open[peer] = connection
            self._changed.notify_all()

    def note_closed(self, peer):
        with self._changed:
            del self._open[peer]
            self._changed.notify_all()

    @property
    def spans(self):
        with self._changed:
            return list(self._spans)

    @property
    def requests(self):
        with self._changed:
            return list(self._requests)

    @property
    def errors(self):
        """Requests that could not be decoded."""
        with self._changed:
            return list(self._errors)

    @property
    def connections(self):
        """How many were ever accepted, drain()'s own not counted."""
        with self._changed:
            return self._connections

    def clear(self):
        with self._changed:
            self._spans.clear()
            self._requests.clear()
            self._errors.clear()
            self._connections = 0

    def wait_for(self, predicate, deadline=20.0):
        """Waits until predicate(self) holds; says what there was when it does not within `deadline` s."""
        end = time.monotonic() + deadline
        with self._changed:
            while not predicate(self):
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {deadline} s; received {len(self._spans)} spans in "
                                         f"{len(self._requests)} requests, errors {self._errors}")
                self._changed.wait(left)
        return self

    def drain(self, deadline=20.0):
        """For after a traced process's end: returns all spans once every byte that it sent was dealt
        with. Its connections are closed then; those not accepted yet lie in the queue before ours."""
        barrier = socket.create_connection(("127.0.0.1", self.port))
        name = barrier.getsockname()
        self.wait_for(lambda r: name in r._open, deadline)
        barrier.close()
        self.wait_for(lambda r: not r._open, deadline)
        with self._changed:
            self._connections -= 1
            if self._errors:
                raise AssertionError(f"requests that do not decode: {self._errors}")
            return list(self._spans)

    def close(self):
        self.stop_event.set()
        self._server.shutdown()
        self._server.server_close()
        with self._changed:
            left = list(self._open.values())
        for connection in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join()


class Blackhole:
    """A port to which no connection ever comes about: its accept queue is full, so SYNs are dropped, as
    behind a firewall that drops packets."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.settimeout(0.2)
            self._fillers.append(filler)
            try:
                filler.connect(("127.0.0.1", self.port))
            except socket.timeout:
                break
        else:
            raise RuntimeError("the accept queue does not fill up")

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        for filler in self._fillers:
            filler.close()
        self._listener.close()


class Refused:
    """A port that answers RST: bound, so that nobody else gets it, but not listening."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self._socket.close()
