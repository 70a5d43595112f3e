"""Export from real programs: collectors that misbehave, files that cannot be written, settings that cannot be read.
The host must not notice; the counters must. Limits on time are hard limits, never measurements."""

import base64
import json
import os
import re
import resource
import shutil
import textwrap

import expect
import host as hosts
import pytest
import receiver as receivers
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

PYTHON = "/usr/bin/python3"
CURL = hosts.CURL
COUNTER = hosts.COUNTER

# DESIGN 1.7: at most 2 s for the exit of a process whose collector is slow; the rest is for a busy machine.
EXIT_LIMIT = 20

# A program with a life of its own: N requests by pycurl, then it prints what it got.
REQUESTS = textwrap.dedent("""
    import io, pycurl, sys
    curl, total = pycurl.Curl(), 0
    for turn in range(int(sys.argv[1])):
        body = io.BytesIO()
        curl.setopt(pycurl.URL, sys.argv[2])
        curl.setopt(pycurl.WRITEDATA, body)
        curl.perform()
        total += len(body.getvalue())
    print(total)
    """)


def requests(count, url):
    return [PYTHON, "-c", REQUESTS, str(count), url]


@pytest.fixture
def log(host):
    """Where OTELSHIM_LOG goes in these tests."""
    return os.path.join(host.home, "shim.log")


def one_summary(log):
    """The counts of the one process that has something to say; the accounting adds up in each."""
    found = hosts.summary(log)
    assert len(found) == 1, found
    counts, = found.values()
    assert_adds_up(counts)
    return counts


def assert_adds_up(counts):
    """Every span was exported, rejected or dropped for a reason."""
    started = counts[COUNTER["SPANS_STARTED"]] - counts.get(COUNTER["SPANS_UNSAMPLED"], 0)
    gone = counts.get(COUNTER["SPANS_EXPORTED"], 0) + counts.get(COUNTER["SPANS_REJECTED"], 0)
    assert started > 0 and started == gone + sum(hosts.dropped(counts).values()), counts


# collectors that misbehave ------------------------------------------------------------------------------

AT_EXIT = "DROPPED_AT_EXIT"
OUTCOMES = {
    "hang": {"DROPPED_TIMEOUT", AT_EXIT},
    "status-400": {"DROPPED_REFUSED"},
    "status-429": {"DROPPED_REFUSED"},
    "status-503": {"DROPPED_REFUSED"},
    "garbage": {"DROPPED_BAD_RESPONSE"},
    "endless-headers": {"DROPPED_BAD_RESPONSE"},
    "trickle": {"DROPPED_TIMEOUT", AT_EXIT},
    "close": {"DROPPED_BAD_RESPONSE", "DROPPED_UNREACHABLE"},
    "reset": {"DROPPED_BAD_RESPONSE", "DROPPED_UNREACHABLE"},
}


@pytest.mark.parametrize("program", ["one request", "twenty requests"])
@pytest.mark.parametrize("fault", list(OUTCOMES))
def test_misbehaving_collector(host, origin, receiver, log, fault, program):
    receiver.set_fault(fault)
    count = 1 if program == "one request" else 20
    command = [*CURL, origin.url("/text")] if count == 1 else requests(count, origin.url("/text"))
    result = host.same(command, env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert (result.code, result.stderr) == (0, b"")
    counts = one_summary(log)
    assert counts[COUNTER["SPANS_RECORDED"]] == count
    lost = hosts.dropped(counts)
    assert sum(lost.values()) == count, counts
    assert set(lost) <= {COUNTER[name] for name in OUTCOMES[fault]}, counts
    assert len(origin.take()) == 2 * count


@pytest.mark.parametrize("fault", ["bad-protobuf", "huge", "huge-gzip"])
def test_status_200_with_an_unreadable_body(host, origin, receiver, log, fault):
    """The collector has taken the spans; what it says beyond that cannot be read. Either verdict is counted."""
    receiver.set_fault(fault)
    result = host.same([*CURL, origin.url("/text")], env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert (result.code, result.stderr) == (0, b"")
    counts = one_summary(log)
    assert set(hosts.dropped(counts)) <= {COUNTER["DROPPED_BAD_RESPONSE"]}, counts


def test_partial_success(host, origin, receiver, log):
    receiver.set_fault("partial-success")
    result = host.same(requests(5, origin.url("/text")), env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert result.code == 0
    counts = one_summary(log)
    sent = len(receiver.requests)
    assert counts[COUNTER["SPANS_REJECTED"]] == sent
    assert counts.get(COUNTER["SPANS_EXPORTED"], 0) == 5 - sent
    assert len(receiver.drain()) == 5, "a partial success is never sent again"
    with open(log, encoding="utf-8") as file:
        assert "one span refused by the test" in file.read()


@pytest.mark.parametrize("kind, reasons", [
    (receivers.Refused, {"DROPPED_UNREACHABLE"}),
    (receivers.Blackhole, {"DROPPED_UNREACHABLE", AT_EXIT}),
])
def test_unreachable_collector(host, origin, log, closing, kind, reasons):
    nobody = kind()
    closing.append(nobody)
    host.endpoint = nobody.endpoint
    result = host.same(["sh", "-c", 'for i in 1 2 3 4; do curl -sS "$0"; done', origin.url("/text")],
                       env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert (result.code, result.stderr) == (0, b"")
    found = hosts.summary(log)
    assert len(found) == 4, found
    for counts in found.values():
        assert_adds_up(counts)
        assert set(hosts.dropped(counts)) <= {COUNTER[name] for name in reasons}, counts
        assert sum(hosts.dropped(counts).values()) == 1


def test_collector_that_comes_late(host, origin, receiver, log):
    """What is lost while the collector fails is lost; what comes afterwards arrives."""
    receiver.set_fault("status-400")
    source = textwrap.dedent("""
        import pycurl, sys
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, sys.argv[1])
        for line in sys.stdin:
            curl.perform()
            print("done", flush=True)
        """)
    process = host.start([PYTHON, "-c", source, origin.url("/status/204")],
                         env={"OTELSHIM_LOG": log, "OTEL_BSP_SCHEDULE_DELAY": "20"})
    with process:
        process.stdin.write(b"\n")
        process.stdin.flush()
        receiver.wait_for(lambda r: len(r._requests) == 1)
        receiver.set_fault(None)
        process.stdin.write(b"\n")
        process.stdin.flush()
        receiver.wait_for(lambda r: len(r._spans) == 1)
        stdout, stderr = process.communicate(timeout=EXIT_LIMIT)
    assert (process.returncode, stdout, stderr) == (0, b"done\ndone\n", b"")
    counts = one_summary(log)
    assert counts[COUNTER["SPANS_EXPORTED"]] == 1
    assert hosts.dropped(counts) == {COUNTER["DROPPED_REFUSED"]: 1}


def test_silent_by_default(host, origin, closing):
    """No setting, a dead collector: not a word on stderr."""
    refused = receivers.Refused()
    closing.append(refused)
    host.endpoint = refused.endpoint
    assert host.same([*CURL, origin.url("/text")], timeout=EXIT_LIMIT).stderr == b""


def test_log_level_set_on_purpose(host, origin, closing):
    refused = receivers.Refused()
    closing.append(refused)
    host.endpoint = refused.endpoint
    result = host.run([*CURL, origin.url("/text")], env={"OTEL_LOG_LEVEL": "info"})
    assert result.stdout == b"a line of text\n"
    assert COUNTER["DROPPED_UNREACHABLE"] in result.stderr.decode()
    assert all(hosts.LOG_LINE.fullmatch(line) for line in result.stderr.decode().splitlines())


# the other half of the shim is missing ------------------------------------------------------------------


@pytest.mark.parametrize("object_file", ["missing", "garbage", "empty"])
def test_exporter_object(host, origin, receiver, log, tmp_path, object_file):
    shutil.copy(hosts.SHIM, tmp_path / "libotelshim.so")
    if object_file != "missing":
        content = b"\x7fELF not really" * 100 if object_file == "garbage" else b""
        (tmp_path / "libotelshim-exporter.so").write_bytes(content)
    broken = hosts.Host(host.home, receiver.endpoint, str(tmp_path / "libotelshim.so"))
    result = broken.same(requests(3, origin.url("/text")), env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert (result.code, result.stdout, result.stderr) == (0, b"45\n", b"")
    assert hosts.dropped(one_summary(log)) == {COUNTER["DROPPED_NO_MODULE"]: 3}
    assert receiver.drain() == []


# exporters ----------------------------------------------------------------------------------------------


def test_none(host, origin, receiver):
    """No export, but contexts are made and sent along."""
    result = host.run([*CURL, origin.url("/text")], env={"OTEL_TRACES_EXPORTER": "none"})
    assert (result.code, result.stderr) == (0, b"")
    assert receiver.drain() == [] and receiver.connections == 0
    assert expect.TRACEPARENT.fullmatch(origin.take()[0].traceparent)


def test_console(host, origin, receiver):
    result = host.run([*CURL, "-f", origin.url("/status/404")], env={"OTEL_TRACES_EXPORTER": "console"})
    text = result.stderr.decode()
    assert result.code == 22 and result.stdout == b""
    assert "GET" in text and "404" in text and "curl: (22)" in text
    assert receiver.drain() == [] and receiver.connections == 0


def spans_of_file(path):
    """All spans of an OTLP JSON file, by google's JSON parser, which rejects unknown fields. OTLP differs from
    the general mapping in one point only: ids are hex."""
    result = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            document = json.loads(line)
            for resource_spans in document["resourceSpans"]:
                for scope_spans in resource_spans["scopeSpans"]:
                    for span in scope_spans["spans"]:
                        for key in ("traceId", "spanId", "parentSpanId"):
                            if key in span:
                                assert re.fullmatch("[0-9a-f]*", span[key])
                                span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
                        assert isinstance(span["kind"], int)
                        assert isinstance(span["startTimeUnixNano"], str)
            message = trace_service_pb2.ExportTraceServiceRequest()
            json_format.ParseDict(document, message)
            result += receivers.spans_of(message)
    return result


def test_file(host, origin, receiver):
    path = os.path.join(host.home, "spans.jsonl")
    result = host.run(requests(3, origin.url("/text")),
                      env={"OTEL_TRACES_EXPORTER": "file", "OTELSHIM_FILE": path})
    assert (result.code, result.stdout, result.stderr) == (0, b"45\n", b"")
    spans = spans_of_file(path)
    assert len(spans) == 3
    assert expect.carried(spans, origin.take()) == spans
    for span in spans:
        expect.client_span(span, "GET", origin.url("/text"), 200, port=origin.port)
        expect.resource(span, os.path.basename(os.path.realpath(PYTHON)))
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert receiver.drain() == [] and receiver.connections == 0


def test_otlp_and_file(host, origin, receiver):
    path = os.path.join(host.home, "spans.jsonl")
    result = host.run([*CURL, origin.url("/text")],
                      env={"OTEL_TRACES_EXPORTER": "otlp,file", "OTELSHIM_FILE": path})
    assert (result.code, result.stderr) == (0, b"")
    received, written = receiver.drain(), spans_of_file(path)
    assert len(received) == len(written) == 1
    assert received[0].message == written[0].message
    assert received[0].resource == written[0].resource


def test_file_is_no_symbolic_link(host, origin, log):
    """What another user may have put there is not followed."""
    path, target = os.path.join(host.home, "spans.jsonl"), os.path.join(host.home, "precious")
    with open(target, "w", encoding="ascii") as file:
        file.write("precious\n")
    os.symlink(target, path)
    result = host.same([*CURL, origin.url("/text")], timeout=EXIT_LIMIT,
                       env={"OTEL_TRACES_EXPORTER": "file", "OTELSHIM_FILE": path, "OTELSHIM_LOG": log})
    assert (result.code, result.stderr) == (0, b"")
    assert hosts.dropped(one_summary(log)) == {COUNTER["DROPPED_IO"]: 1}
    with open(target, encoding="ascii") as file:
        assert file.read() == "precious\n"


@pytest.mark.parametrize("path", ["/dev/full", "/proc/none/spans.jsonl", "/"])
def test_file_that_cannot_be_written(host, origin, log, path):
    result = host.same(requests(4, origin.url("/text")), timeout=EXIT_LIMIT,
                       env={"OTEL_TRACES_EXPORTER": "file", "OTELSHIM_FILE": path, "OTELSHIM_LOG": log})
    assert (result.code, result.stdout, result.stderr) == (0, b"45\n".replace(b"45", b"60"), b"")
    assert hosts.dropped(one_summary(log)) == {COUNTER["DROPPED_IO"]: 4}


def test_file_over_the_host_s_size_limit(host, origin):
    """A write over RLIMIT_FSIZE is SIGXFSZ for who is not careful, and only part of a line may be written."""
    path = os.path.join(host.home, "spans.jsonl")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    result = host.same(requests(40, origin.url("/text")), preexec_fn=limit, timeout=EXIT_LIMIT,
                       env={"OTEL_TRACES_EXPORTER": "file", "OTELSHIM_FILE": path,
                            "OTEL_BSP_SCHEDULE_DELAY": "1"})
    assert (result.code, result.stdout, result.stderr) == (0, b"600\n", b"")
    assert os.path.getsize(path) <= 3000


# settings ------------------------------------------------------------------------------------------------

UNREADABLE = {
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
    "OTEL_TRACES_SAMPLER": "sometimes",
    "OTEL_TRACES_EXPORTER": "pigeon",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "squeeze",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "99999999999999999999",
    "OTEL_PROPAGATORS": "tracecontext,smoke",
    "OTEL_SDK_DISABLED": "perhaps",
}


def test_unreadable_settings(host, origin):
    """One line each, with the name, and only in a process that records a span."""
    result = host.run([*CURL, origin.url("/text")], env=UNREADABLE)
    assert (result.code, result.stdout) == (0, b"a line of text\n")
    lines = result.stderr.decode().splitlines()
    assert len(lines) == len(UNREADABLE), lines
    for name in UNREADABLE:
        assert len([line for line in lines if re.search(rf"\b{name}\b", line)]) == 1, (name, lines)
    assert host.run(["true"], env=UNREADABLE) == hosts.Result(b"", b"", 0)
    assert host.run([*CURL, "file:///etc/hostname"], env=UNREADABLE).stderr == b""


def test_unreadable_settings_leave_the_defaults(host, origin, receiver):
    """But for the exporter's name, everything works as if they had not been set."""
    settings = {name: value for name, value in UNREADABLE.items() if name != "OTEL_TRACES_EXPORTER"}
    result = host.run([*CURL, origin.url("/text")], env=settings)
    assert result.code == 0
    spans = receiver.drain()
    assert expect.carried(spans, origin.take()) == spans and len(spans) == 1


def test_gzip(host, origin, receiver):
    assert host.run(requests(50, origin.url("/text")),
                    env={"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}).stderr == b""
    assert len(receiver.drain()) == 50
    assert {request.headers.get("Content-Encoding") for request in receiver.requests} == {"gzip"}
    assert sum(request.body_len for request in receiver.requests) < 50 * 150


def test_request_line_and_headers(host, origin, receiver):
    host.run([*CURL, origin.url("/text")],
             env={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc,x-tenant=a%2Cb"})
    assert len(receiver.drain()) == 1
    request, = receiver.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert request.path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["authorization"] == "Bearer abc" and headers["x-tenant"] == "a,b"
    assert re.search(r"OTel-OTLP-Exporter-C/\d+\.\d+", headers["user-agent"])
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert "traceparent" not in headers, "the exporter does not trace itself"


@pytest.mark.parametrize("variable, suffix, path", [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "/base/", "/base/v1/traces"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "/base", "/base/v1/traces"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/exactly/this", "/exactly/this"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "/"),
])
def test_endpoint(host, origin, receiver, variable, suffix, path):
    result = host.run([*CURL, origin.url("/text")], env={variable: receiver.endpoint + suffix})
    assert (result.code, result.stderr) == (0, b"")
    assert len(receiver.drain()) == 1
    assert [request.path for request in receiver.requests] == [path]


@pytest.mark.parametrize("settings, name", [
    ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,a=b%2Cc"}, "shop"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=other,a=b%2Cc", "OTEL_SERVICE_NAME": "shop"}, "shop"),
    ({"OTEL_SERVICE_NAME": ""}, "unknown_service:curl"),
])
def test_service_name(host, origin, receiver, settings, name):
    assert host.run([*CURL, origin.url("/text")], env=settings).stderr == b""
    span, = receiver.drain()
    expect.resource(span, "curl", name)
    assert span.resource.get("a") == ("b,c" if "OTEL_RESOURCE_ATTRIBUTES" in settings else None)


def test_batch_size(host, origin, receiver):
    assert host.run(requests(20, origin.url("/text")),
                    env={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "3", "OTEL_BSP_SCHEDULE_DELAY": "60000"}).code == 0
    assert len(receiver.drain()) == 20
    sizes = [len(request.spans) for request in receiver.requests]
    assert max(sizes) == 3 and min(sizes) >= 1, sizes
    assert len({request.connection for request in receiver.requests}) == 1, "one connection, kept alive"


def test_schedule_delay(host, origin, receiver):
    """Spans of a process that lives on come after the delay, without its end."""
    process = host.start([PYTHON, "-c", REQUESTS + "sys.stdin.read()", "1", origin.url("/text")],
                         env={"OTEL_BSP_SCHEDULE_DELAY": "50"})
    with process:
        receiver.wait_for(lambda r: len(r._spans) == 1)
        assert process.poll() is None
        stdout, stderr = process.communicate(timeout=EXIT_LIMIT)
    assert (process.returncode, stdout, stderr) == (0, b"15\n", b"")
    assert len(receiver.drain()) == 1


def test_queue_size(host, origin, receiver, log):
    """What the queue cannot hold while the collector hangs is dropped and counted."""
    receiver.set_fault("hang")
    result = host.run(requests(200, origin.url("/text")), timeout=EXIT_LIMIT,
                      env={"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
                           "OTELSHIM_LOG": log})
    assert (result.code, result.stdout, result.stderr) == (0, b"3000\n", b"")
    counts = next(iter(hosts.summary(log).values()))
    assert counts[COUNTER["DROPPED_QUEUE_FULL"]] >= 100, counts
    assert len(origin.take()) == 200


def test_sampler_off(host, origin, receiver):
    """Nothing is exported, and what is sent along says so."""
    result = host.run([*CURL, origin.url("/text")], env={"OTEL_TRACES_SAMPLER": "always_off"})
    assert (result.code, result.stderr) == (0, b"")
    traceparent = origin.take()[0].traceparent
    assert expect.TRACEPARENT.fullmatch(traceparent) and int(traceparent[-2:], 16) & 1 == 0
    assert receiver.drain() == [] and receiver.connections == 0


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "OTELSHIM_DISABLED"])
def test_disabled(host, origin, receiver, variable):
    result = host.same([*CURL, origin.url("/text")], env={variable: "true"})
    assert (result.code, result.stderr) == (0, b"")
    assert [request.traceparent for request in origin.take()] == [None, None]
    assert receiver.drain() == [] and receiver.connections == 0


def test_family_switched_off(host, origin, receiver):
    host.same([*CURL, origin.url("/text")], env={"OTELSHIM_INSTRUMENTATIONS": "-curl"})
    assert [request.traceparent for request in origin.take()] == [None, None]
    assert receiver.drain() == []


def test_ignored_urls(host, origin, receiver):
    host.run([*CURL, origin.url("/text"), origin.url("/status/200")],
             env={"OTELSHIM_IGNORE_URLS": "*/status/*"})
    span, = receiver.drain()
    assert span.attributes["url.full"] == origin.url("/text")
    assert [bool(request.traceparent) for request in origin.take()] == [True, False]


# https, fork, exit ---------------------------------------------------------------------------------------


@pytest.fixture
def https_receiver(host, authority):
    receiver = receivers.Receiver(tls=authority.server_context())
    host.endpoint = receiver.endpoint
    yield receiver
    receiver.close()


def test_https(host, origin, https_receiver, authority):
    result = host.same([*CURL, origin.url("/text")],
                       env={"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.ca})
    assert (result.code, result.stderr) == (0, b"")
    spans = https_receiver.drain()
    assert expect.carried(spans, origin.take()[1:]) == spans and len(spans) == 1


def test_https_certificate_not_trusted(host, origin, https_receiver, log):
    result = host.same([*CURL, origin.url("/text")], env={"OTELSHIM_LOG": log}, timeout=EXIT_LIMIT)
    assert (result.code, result.stderr) == (0, b"")
    assert hosts.dropped(one_summary(log)) == {COUNTER["DROPPED_UNREACHABLE"]: 1}
    assert https_receiver.requests == []


@pytest.mark.parametrize("fault", list(OUTCOMES))
def test_https_misbehaving_collector(host, origin, https_receiver, authority, log, fault):
    """curl has loaded the TLS library itself, whose exit handlers do not wait for our thread."""
    https_receiver.set_fault(fault)
    result = host.same([*CURL, origin.url("/text")], timeout=EXIT_LIMIT,
                       env={"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.ca, "OTELSHIM_LOG": log})
    assert (result.code, result.stderr) == (0, b"")
    lost = hosts.dropped(one_summary(log))
    assert sum(lost.values()) == 1 and set(lost) <= {COUNTER[name] for name in OUTCOMES[fault]}, lost


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_exit_right_after_the_first_span(host, origin, receiver, authority, closing, scheme):
    """The TLS library's own exit handlers run beside our thread: crashes show within a few dozen runs."""
    target = receiver
    if scheme == "https":
        target = receivers.Receiver(tls=authority.server_context())
        closing.append(target)
        host.endpoint = target.endpoint
    runs = 40
    script = f'for i in $(seq {runs}); do curl -sS "$0" || echo "failed: $?"; done'
    result = host.run(["sh", "-c", script, origin.url("/text")],
                      env={"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.ca})
    assert (result.code, result.stderr) == (0, b"")
    assert result.stdout == b"a line of text\n" * runs
    spans = target.drain()
    assert len(expect.carried(spans, origin.take())) == runs


FORK = textwrap.dedent("""
    import os, pycurl, sys
    how, url = sys.argv[1:]
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url + "?parent")
    curl.perform()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url + "?child")
        curl.perform()
        if how == "exit":
            sys.exit(5)
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    curl.perform()
    print(os.getpid(), pid)
    """)


@pytest.mark.parametrize("how", ["exit", "_exit"])
def test_child_of_fork_exports_on_its_own(host, origin, receiver, how):
    result = host.run([PYTHON, "-c", FORK, how, origin.url("/status/204")])
    assert (result.code, result.stderr) == (0, b"")
    status, pids = result.stdout.decode().splitlines()
    parent_pid, child_pid = map(int, pids.split())
    assert status == "5"
    spans = receiver.drain()
    assert len(expect.carried(spans, origin.take())) == 3
    by_pid = {}
    for span in spans:
        by_pid.setdefault(span.resource["process.pid"], []).append(span)
    assert {pid: len(spans) for pid, spans in by_pid.items()} == {parent_pid: 2, child_pid: 1}
    assert by_pid[child_pid][0].attributes["url.full"].endswith("?child")
    instances = [{span.resource["service.instance.id"] for span in by_pid[pid]}
                 for pid in (parent_pid, child_pid)]
    assert [len(ids) for ids in instances] == [1, 1] and instances[0] != instances[1]


def test_child_of_fork_that_does_nothing(host, origin, receiver):
    """It neither repeats its parent's spans nor hangs at its end."""
    source = textwrap.dedent("""
        import os, pycurl, sys
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, sys.argv[1])
        curl.perform()
        for how in (sys.exit, os._exit) * 5:
            pid = os.fork()
            if pid == 0:
                how(3)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        """)
    result = host.same([PYTHON, "-c", source, origin.url("/status/204")], timeout=EXIT_LIMIT)
    assert result.stdout == b"3\n" * 10
    assert len(receiver.drain()) == 1


def test_many_spans(host, origin, receiver):
    """Full speed from one thread, default settings: none is lost."""
    result = host.run(requests(3000, origin.url("/status/204")))
    assert (result.code, result.stderr) == (0, b"")
    spans = receiver.drain()
    assert len(spans) == 3000
    assert [request.traceparent for request in origin.take()] == \
        [span.traceparent for span in sorted(spans, key=lambda span: span.start)]
