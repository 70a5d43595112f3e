"""Hosts that are hard on a library inside them: they close what they find, count their descriptors, end in every
way and at every moment. They must not notice, and their spans must come. No time is measured but for two sums of
many runs, whose limits lie far from what is right and below what is wrong."""

import os
import re
import shutil
import textwrap
import time

import expect
import host as hosts
import pytest
import receiver as receivers
from programs.build import build

PYTHON = "/usr/bin/python3"
COUNTER = hosts.COUNTER

# How the exporter's descriptors are kept apart: by a table of its own; or, when it writes to the host's stderr,
# in the host's table, above the host's numbers.
TABLES = {"own table": {}, "shared table": {"OTELSHIM_LOG": "stderr", "OTEL_LOG_LEVEL": "error"}}

HEAD = textwrap.dedent("""
    import os, pycurl, sys
    def get():
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, sys.argv[1])
        curl.perform()
        curl.close()
    """)


def python(source, *arguments):
    return [PYTHON, "-c", HEAD + textwrap.dedent(source), *arguments]


# descriptors -------------------------------------------------------------------------------------------


def test_descriptors_are_the_same_before_and_after(traced, origin):
    """Before the first span, while the exporter has a connection, and at the end."""
    result, spans, _ = traced(python("""
        def listed():
            return sorted((fd, os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
                          for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))
        before = listed()
        for turn in range(3):
            get()
            print(listed() == before)
        print(before)
        """, origin.url("/status/204")), env={"OTEL_BSP_SCHEDULE_DELAY": "1"})
    assert result.stdout.startswith(b"True\nTrue\nTrue\n")
    assert len(spans) == 3


@pytest.mark.parametrize("table", list(TABLES))
def test_lowest_number_is_the_host_s(host, origin, receiver, table):
    """Programs close 0 and rely on the next open() to be 0."""
    command = python("""
        get()
        sys.stdin.readline()
        for number in (0, 3):
            try:
                os.close(number)
            except OSError:
                pass
            print(number, os.open("/dev/null", os.O_RDONLY))
        get()
        """, origin.url("/status/204"))
    outputs = []
    for preload in (False, True):
        process = host.start(command, preload, {"OTEL_BSP_SCHEDULE_DELAY": "1", **TABLES[table]})
        with process:
            if preload:
                receiver.wait_for(lambda r: len(r._spans) == 1)
            outputs.append(process.communicate(b"\n", timeout=hosts.HARD_LIMIT))
    assert outputs[0] == outputs[1] == (b"0 0\n3 3\n", b"")
    assert len(receiver.drain()) == 2


@pytest.mark.parametrize("table", list(TABLES))
def test_host_that_closes_everything(host, origin, receiver, table):
    """As daemons do, in mid-run; it goes on, and so does the export."""
    command = python("""
        get()
        sys.stdin.readline()
        os.closerange(3, 65536)
        for turn in range(5):
            get()
        sys.stdin.readline()
        get()
        print("done")
        """, origin.url("/status/204"))
    process = host.start(command, env={"OTEL_BSP_SCHEDULE_DELAY": "1", **TABLES[table]})
    with process:
        receiver.wait_for(lambda r: len(r._spans) == 1)
        process.stdin.write(b"\n")
        process.stdin.flush()
        receiver.wait_for(lambda r: len(r._spans) == 6)
        assert process.communicate(b"\n", timeout=hosts.HARD_LIMIT) == (b"done\n", b"")
    assert process.returncode == 0
    spans = receiver.drain()
    assert len(spans) == 7
    expect.carried(spans, origin.take())


@pytest.mark.parametrize("table", list(TABLES))
def test_descriptors_put_in_place_of_ours(host, origin, receiver, table):
    """The host takes all numbers for itself; what it has there is neither written to nor closed."""
    command = python("""
        get()
        sys.stdin.readline()
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        for number in range(10, 1024):
            os.dup2(writer, number)
        for turn in range(5):
            sys.stdin.readline()
            for number in range(1000, 1024):
                os.close(number)  # libcurl wants some
            get()
            for number in range(1000, 1024):
                os.dup2(writer, number)
        for number in range(10, 1024):
            os.fstat(number)
        try:
            print(os.read(reader, 100))
        except BlockingIOError:
            print("nothing was written")
        """, origin.url("/status/204"))
    process = host.start(command, env={"OTEL_BSP_SCHEDULE_DELAY": "1", **TABLES[table]})
    with process:
        receiver.wait_for(lambda r: len(r._spans) == 1)
        process.stdin.write(b"\n" * 6)
        stdout, stderr = process.communicate(timeout=hosts.HARD_LIMIT)
    assert (process.returncode, stdout, stderr) == (0, b"nothing was written\n", b"")
    assert len(receiver.drain()) == 6


def test_pipe_that_the_host_closes_ends(traced, origin):
    """Nobody holds its other end in secret: a reader here and a reader in another process see the end of it."""
    result, spans, _ = traced(python("""
        import subprocess
        reader, writer = os.pipe()
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        get()
        os.write(writer, b"last words")
        os.close(writer)
        print(os.read(reader, 100), os.read(reader, 100))
        cat.stdin.write(b"to the other")
        cat.stdin.close()
        print(cat.stdout.read(), cat.wait(), flush=True)
        get()
        """, origin.url("/status/204")))
    assert result.stdout == b"b'last words' b''\nb'to the other' 0\n"
    assert len(spans) == 2


# ends --------------------------------------------------------------------------------------------------

ENDS = {"openssl": ("-DWITH_CURL", "-lcurl"),
        "gnutls": ("-DWITH_CURL", "-l:libcurl-gnutls.so.4"),
        "no libcurl": ()}


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends")
    return {name: build("ends.c", folder / f"ends-{name.replace(' ', '-')}", *flags)
            for name, flags in ENDS.items()}


@pytest.fixture
def https(host, authority):
    receiver = receivers.Receiver(tls=authority.server_context())
    host.endpoint = receiver.endpoint
    yield receiver
    receiver.close()


@pytest.mark.parametrize("handler", [0, 5000])
@pytest.mark.parametrize("flavour", list(ENDS))
def test_end_just_after_the_first_span(host, origin, https, authority, ends, flavour, handler):
    """The TLS library's exit handlers beside the exporter's handshake: 70 ends within 0 to 3.5 ms of the first span,
    also when an exit handler of the host's waits meanwhile."""
    runs = 70
    script = textwrap.dedent("""
        i=0
        while [ $i -lt "$1" ]; do
            "$2" return $((i * 50)) "$3" "$4"
            code=$?
            [ $code = 7 ] || echo "after $((i * 50)) us: $code"
            i=$((i + 1))
        done
        """)
    result = host.run(["sh", "-c", script, "sh", str(runs), ends[flavour], str(handler),
                       origin.url("/status/204")],
                      env={"OTEL_EXPORTER_OTLP_CERTIFICATE": authority.ca}, timeout=240)
    assert result == hosts.Result(b"", b"", 0)
    spans = https.drain()
    assert len(spans) == runs
    assert len({span.resource["process.pid"] for span in spans}) == runs


@pytest.mark.parametrize("flavour", list(ENDS))
@pytest.mark.parametrize("way", ["exit", "_exit", "quick_exit", "thread", "return"])
def test_ways_to_end(host, origin, receiver, ends, way, flavour):
    result = host.same([ends[flavour], way, "0", "0", origin.url("/status/204")])
    assert (result.code, result.stdout, result.stderr) == (7, b"", b"")
    span, = receiver.drain()
    assert span.name == ("work" if flavour == "no libcurl" else "GET")


@pytest.mark.parametrize("flavour", ["openssl", "gnutls"])
@pytest.mark.parametrize("way", ["exit", "_exit", "quick_exit", "thread", "return"])
def test_end_while_another_thread_is_in_libcurl(host, origin, receiver, ends, way, flavour):
    """What is in flight is no finished span; what was finished arrives."""
    result = host.same([ends[flavour], way, "0", "0", origin.url("/status/204"), origin.url("/hang")])
    assert (result.code, result.stdout, result.stderr) == (7, b"", b"")
    span, = receiver.drain()
    assert span.attributes["url.full"] == origin.url("/status/204")


def test_multiprocessing(host, origin, receiver):
    """Its children are forks that end by _exit."""
    result = host.run(python("""
        import multiprocessing
        def child(number):
            for turn in range(4):
                get()
        if __name__ == "__main__":
            get()
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=child, args=(number,)) for number in range(3)]
            for one in children:
                one.start()
            for one in children:
                one.join()
            print(os.getpid(), *[one.pid for one in children], {one.exitcode for one in children})
            get()
        """, origin.url("/status/204")))
    assert (result.code, result.stderr) == (0, b"")
    parent, *children, codes = result.stdout.decode().split()
    assert codes == "{0}" and len(children) == 3
    spans = receiver.drain()
    expect.carried(spans, origin.take())
    found = {}
    for span in spans:
        found[str(span.resource["process.pid"])] = found.get(str(span.resource["process.pid"]), 0) + 1
    assert found == {parent: 2, **dict.fromkeys(children, 4)}


def test_loop_behind_a_port_that_drops(host, origin, closing):
    """20 programs of one request each, whose collector never answers a connection: 300 ms each, not 2 s."""
    nobody = receivers.Blackhole()
    closing.append(nobody)
    host.endpoint = nobody.endpoint
    begin = time.monotonic()
    result = host.run(["sh", "-c", 'for i in $(seq 20); do curl -sS "$0" || exit 1; done',
                       origin.url("/status/204")])
    assert result == hosts.Result(b"", b"", 0)
    assert time.monotonic() - begin < 20, "20 times 300 ms are 6 s, 20 times 2 s are 40 s"


def test_loop_with_a_collector_that_hangs(host, origin, receiver):
    """Five programs, 2 s each: the export's own time limit is 10 s."""
    receiver.set_fault("hang")
    begin = time.monotonic()
    result = host.run(["sh", "-c", 'for i in 1 2 3 4 5; do curl -sS "$0" || exit 1; done',
                       origin.url("/status/204")])
    assert result == hosts.Result(b"", b"", 0)
    assert time.monotonic() - begin < 30, "five times 2 s are 10 s, five times 10 s are 50 s"


def test_environment_that_the_host_clears(host, origin, receiver):
    """Settings are those that the process was started with (nginx clears its environment before it forks)."""
    result = host.run(python("""
        os.environ.clear()
        get()
        sys.stdout.flush()
        pid = os.fork()
        get()
        if pid:
            os.waitpid(pid, 0)
        """, origin.url("/status/204")), env={"OTEL_SERVICE_NAME": "cleared"})
    assert (result.code, result.stdout, result.stderr) == (0, b"", b"")
    spans = receiver.drain()
    assert [span.resource["service.name"] for span in spans] == ["cleared"] * 3
    expect.carried(spans, origin.take())


# the other object ---------------------------------------------------------------------------------------


def test_exporter_of_another_build(host, origin, receiver, tmp_path):
    """After an upgrade under a running process: it stands down, and says so."""
    log = os.path.join(host.home, "shim.log")
    shutil.copy(hosts.SHIM, tmp_path / "libotelshim.so")
    with open(hosts.EXPORTER, "rb") as file:
        content = file.read()
    build_id, = set(re.findall(rb"\d+\.\d+\.\d+-[0-9a-f]{16}(?=\0)", content))
    other = build_id[:-1] + (b"0" if build_id[-1:] != b"0" else b"1")
    (tmp_path / "libotelshim-exporter.so").write_bytes(content.replace(build_id, other))
    upgraded = hosts.Host(host.home, receiver.endpoint, str(tmp_path / "libotelshim.so"))
    result = upgraded.same(python("get(); get(); get(); print('fine')", origin.url("/status/204")),
                           env={"OTELSHIM_LOG": log})
    assert (result.code, result.stdout, result.stderr) == (0, b"fine\n", b"")
    counts, = hosts.summary(log).values()
    with open(log, encoding="utf-8") as file:
        assert "libotelshim-exporter.so is of another build" in file.read()
    assert hosts.dropped(counts) == {COUNTER["DROPPED_NO_MODULE"]: 3}
    assert receiver.drain() == [] and receiver.connections == 0
