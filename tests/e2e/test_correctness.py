"""Whether every span is in its place: three processes of programs/placed.c, each with several threads, say of every
span under which other one it belongs. The judges are the origin, which saw the traceparent of every request, and
the receiver, which decodes with google's protobuf."""

import concurrent.futures
import re
from collections import Counter

import expect
import pytest
from programs.build import build

PROCESSES = 3


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    return build("placed.c", tmp_path_factory.mktemp("placed") / "placed", "-lcurl")


def run_all(host, program, origin, threads, units, preload=True, env=None):
    """The processes' plans: [(number of the process, its pid, {id: (kind, parent's id)})]."""
    running = []
    for number in range(1, PROCESSES + 1):
        process = host.start([program, origin.url(""), str(number), str(threads), str(units)], preload,
                             {"OTEL_SERVICE_NAME": f"placed-{number}", **(env or {})})
        running.append((number, process))
    try:
        ports = [int(re.fullmatch(rb"port (\d+)\n", process.stdout.readline())[1])
                 for _, process in running]
        for index, (_, process) in enumerate(running):
            process.stdin.write(b"%d\n" % ports[(index + 1) % PROCESSES])
            process.stdin.flush()
        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as readers:
            lines = list(readers.map(lines_until_done, [process for _, process in running]))
        for _, process in running:
            process.stdin.close()
        for index, (_, process) in enumerate(running):
            lines[index] += process.stdout.readlines()
            assert process.stderr.read() == b""
            assert process.wait(timeout=60) == 0
    finally:
        for _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    return [(number, process.pid, plan_of(lines[index]))
            for index, (number, process) in enumerate(running)]


def lines_until_done(process):
    lines = []
    for line in iter(process.stdout.readline, b"done\n"):
        assert line, process.stderr.read()
        lines.append(line)
    return lines


def plan_of(lines):
    plan = {}
    for line in lines:
        kind, name, parent = line.decode().split()
        if kind == "relay":  # said beside the "get" of the same request
            assert plan[name] == ("get", parent)
            plan[name] = (kind, parent)
        else:
            assert name not in plan, f"{name} is planned twice"
            plan[name] = (kind, parent)
    return plan


def judge(plans, spans, requests, origin):
    """Every planned span is there once, in its place, and no other."""
    planned, process_of = {}, {}
    for number, pid, plan in plans:
        for name, place in plan.items():
            assert name not in planned
            planned[name], process_of[name] = place, (number, pid)

    named = {}
    for span in spans:
        name = span.attributes.get("test.id") or span.attributes["url.full"].partition("?id=")[2]
        assert name in planned, f"nobody made {span}"
        assert name not in named, f"{name} came twice"
        named[name] = span
    assert set(planned) == set(named), f"missing: {sorted(set(planned) - set(named))[:10]}"
    assert max(Counter(span.span_id for span in spans).values()) == 1

    for name, (kind, parent) in planned.items():
        check_place(name, kind, named, None if parent == "-" else parent)
        check_content(named[name], kind, process_of[name], origin)

    sent = {}
    for request in requests:
        name = request.path.partition("?id=")[2]
        assert name not in sent
        sent[name] = request.traceparent
    # A request to a relay goes to the other process, which passes on the header that it got.
    expected = {name: named[parent if kind == "relay" else name].traceparent
                for name, (kind, parent) in planned.items()
                if kind != "api" and not name.endswith("/there")}
    assert sent == expected


def check_place(name, kind, named, parent_name):
    span = named[name]
    if parent_name is None:
        assert span.parent_id == "", f"{name} is a root, not under {span}"
        return
    parent = named[parent_name]
    assert (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id), \
        f"{name} belongs under {parent_name}, not here: {span}"
    assert span.start >= parent.start, f"{name} begins before {parent_name}"
    may_outlive = re.search(r"/late\d$|/l\d\.(get|next)$", name)
    if not may_outlive:
        assert span.end <= parent.end, f"{name} ends after {parent_name}"


def check_content(span, kind, process, origin):
    number, pid = process
    assert 0 < span.start <= span.end
    assert span.resource["service.name"] == f"placed-{number}"
    assert span.resource["process.pid"] == pid
    if kind == "api":
        assert (span.kind, span.name, span.attributes.keys()) == ("INTERNAL", "unit", {"test.id"})
        return
    url = span.attributes["url.full"]
    port = int(re.match(r"http://127\.0\.0\.1:(\d+)/text", url)[1])
    assert (port == origin.port) == ("/there" not in url or kind == "relay"), span
    expect.client_span(span, "GET", url, 200, port=port,
                       parent=(span.trace_id, span.parent_id) if span.parent_id else None)


def traces_are_whole(plans, spans):
    """As many traces as there are roots, each with one."""
    roots = sum(parent == "-" for _, _, plan in plans for _, parent in plan.values())
    assert len({span.trace_id for span in spans}) == roots
    assert sum(span.parent_id == "" for span in spans) == roots


RUNS = {
    "4 threads, 200 units": (4, 200, {}),
    "1 thread, 30 units": (1, 30, {}),
    "16 threads, 120 units": (16, 120, {}),
    "small batches": (4, 200, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7"}),
    "often": (4, 100, {"OTEL_BSP_SCHEDULE_DELAY": "1"}),
    "gzip": (4, 200, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
}


@pytest.mark.parametrize("run", list(RUNS))
def test_every_span_is_in_its_place(host, origin, receiver, placed, run):
    threads, units, settings = RUNS[run]
    plans = run_all(host, placed, origin, threads, units, env=settings)
    spans = receiver.drain()
    judge(plans, spans, origin.take(), origin)
    traces_are_whole(plans, spans)
    if run == "small batches":
        assert max(len(request.spans) for request in receiver.requests) == 7


def test_every_span_is_in_its_place_with_a_slow_collector(host, origin, receiver, placed):
    receiver.set_fault("slow")
    plans = run_all(host, placed, origin, 4, 200)
    spans = receiver.drain()
    judge(plans, spans, origin.take(), origin)
    traces_are_whole(plans, spans)


def test_the_program_does_the_same_bare(host, origin, placed):
    """The plan does not depend on the shim, and nothing but the header is added."""
    seen = []
    for preload in (False, True):
        plans = run_all(host, placed, origin, 4, 60, preload)
        requests = origin.take()
        assert all(bool(request.traceparent) == preload for request in requests)
        seen.append(([plan for _, _, plan in plans],
                     sorted(request.path for request in requests)))
    assert seen[0] == seen[1]
