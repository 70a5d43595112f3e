"""What the tests of the libcurl, thread and API instrumentation share: hosts that are compiled here, run bare and
preloaded against an origin, and the spans that the `file` exporter wrote. Knows no particular test."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import host as hosts  # noqa: E402
import origin as origins  # noqa: E402

BUILD = ROOT / os.environ.get("OTELSHIM_BUILD", "build")
SHIM = BUILD / "src" / "libotelshim.so"
TIMEOUT = 60
OURS = {"traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "uber-trace-id",
        "x-amzn-trace-id"}

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


def compiler(name, default):
    return shlex.split(os.environ.get(name, default))


def build(out, *arguments, language="c"):
    """Compiles a host or a library; warnings are errors."""
    flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{ROOT}/include", f"-I{HERE}"]
    command = compiler("CC", "cc") + ["-std=gnu11"] if language == "c" else compiler("CXX", "c++")
    subprocess.run([*command, *flags, "-o", str(out), *map(str, arguments)], check=True, timeout=TIMEOUT)
    return str(out)


def value_of(value):
    (kind, content), = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "arrayValue":
        return [value_of(member) for member in content.get("values", [])]
    return content


class Span:
    def __init__(self, span):
        self.name = span["name"]
        self.kind = KINDS[span["kind"]]
        self.trace_id = span["traceId"]
        self.span_id = span["spanId"]
        self.parent_id = span.get("parentSpanId", "")
        self.trace_state = span.get("traceState", "")
        self.flags = span["flags"]
        self.start = int(span["startTimeUnixNano"])
        self.end = int(span["endTimeUnixNano"])
        self.attributes = {a["key"]: value_of(a["value"]) for a in span.get("attributes", [])}
        assert len(self.attributes) == len(span.get("attributes", [])), "a key occurs twice"
        self.status = span.get("status", {}).get("code", 0)
        self.events = [event["name"] for event in span.get("events", [])]

    @property
    def url(self):
        return self.attributes.get("url.full", "")

    @property
    def mark(self):
        """What the host wrote into the query to tell its transfers apart."""
        return self.url.partition("?")[2]

    @property
    def error(self):
        return self.attributes.get("error.type")

    @property
    def traceparent(self):
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 0xff:02x}"

    def is_child_of(self, parent):
        return (self.trace_id, self.parent_id) == (parent.trace_id, parent.span_id)

    def __repr__(self):
        return f"<{self.kind} {self.name} {self.url} trace={self.trace_id} id={self.span_id} parent={self.parent_id}>"


def read_spans(path):
    if not path.exists():
        return []
    spans = [Span(span) for line in path.read_text().splitlines() for resource in json.loads(line)["resourceSpans"]
             for scope in resource["scopeSpans"] for span in scope["spans"]]
    assert len({span.span_id for span in spans}) == len(spans), "span ids repeat"
    return sorted(spans, key=lambda span: span.start)


class Ran:
    """One run: its output, its spans by start, the requests that the origin got."""

    def __init__(self, done, spans, requests):
        self.out = done.stdout
        self.err = done.stderr
        self.code = done.returncode
        self.spans = spans
        self.requests = requests

    def named(self, mark):
        """The one span with that query, or that name."""
        found = [span for span in self.spans if mark in (span.mark, span.name)]
        assert len(found) == 1, (mark, self.spans)
        return found[0]

    def marked(self, mark):
        return [span for span in self.spans if span.mark == mark]

    def request(self, mark):
        found = [r for r in self.requests if r.path.partition("?")[2] == mark]
        assert len(found) == 1, (mark, self.requests)
        return found[0]


class Rig:
    def __init__(self, place, origin):
        self.place = place
        self.origin = origin

    def url(self, path="/text", host="127.0.0.1"):
        return self.origin.url(path, host)

    def run(self, command, preload=True, before=(), **env):
        """Runs it in an environment of its own."""
        spans = self.place / "spans.jsonl"
        spans.unlink(missing_ok=True)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.place)}
        if preload:
            environment |= {"LD_PRELOAD": ":".join([*hosts.sanitizer_preload(), *map(str, before), str(SHIM)]),
                            "OTEL_TRACES_EXPORTER": "file", "OTELSHIM_FILE": str(spans)}
            if hosts.SANITIZED:
                environment["ASAN_OPTIONS"] = "detect_leaks=0"
        self.origin.take()
        done = subprocess.run(list(map(str, command)), env={**environment, **env}, timeout=TIMEOUT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.place)
        return Ran(done, read_spans(spans), self.origin.take())

    def both(self, command, **options):
        """Runs it bare and preloaded; the same output, exit code and requests, our headers aside."""
        bare = self.run(command, preload=False)
        ran = self.run(command, **options)
        assert (ran.code, ran.out, ran.err) == (bare.code, bare.out, bare.err)
        assert ran.code == 0, ran.err
        assert not bare.spans
        # One that was cancelled may have been sent or not.
        strip = lambda requests: sorted((r.method, r.path, [h for h in r.headers if h[0] not in OURS], r.body)  # noqa: E731
                                        for r in requests if not r.path.startswith("/hang"))
        assert strip(ran.requests) == strip(bare.requests)
        return ran


def carried(ran):
    """Every request carries exactly one traceparent, that of a span of its own, and no span is without one."""
    by_id = {span.traceparent: span for span in ran.spans if span.kind == "CLIENT"}
    parents = [request.all("traceparent") for request in ran.requests]
    assert all(len(values) == 1 for values in parents), parents
    assert {values[0] for values in parents} == set(by_id), (parents, ran.spans)
    return [by_id[values[0]] for values in parents]
