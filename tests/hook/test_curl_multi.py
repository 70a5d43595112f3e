"""libcurl's multi interface under the preload: every transfer in the context that it was added in, every callback
in its transfer's, and what an event loop does next in the trace of what it was told of. Hosts: curl_multi_host.c."""

import re
import shutil

import pytest

import curl_rig
import origin as origins

COUNT = 4


@pytest.fixture(scope="module")
def server():
    origin = origins.Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    place = tmp_path_factory.mktemp("multi")
    return curl_rig.build(place / "multi", curl_rig.HERE / "curl_multi_host.c", "-rdynamic", "-lcurl", "-ldl",
                          "-lpthread")


@pytest.fixture
def rig(tmp_path, server, host):
    rig = curl_rig.Rig(tmp_path, server)
    rig.host = host
    return rig


@pytest.mark.parametrize("driver", ["perform", "epoll", "all"])
def test_loop(rig, driver):
    ran = rig.both([rig.host, "loop", rig.url(), driver])
    curl_rig.carried(ran)
    assert ran.out.endswith("".join(f"{i}: 0\n" for i in range(COUNT + 1)) + "0 200 0 15 " + rig.url("/text?tail\n"))
    requests = {span.name: span for span in ran.spans if span.kind == "SERVER"}
    assert len({span.trace_id for span in requests.values()}) == COUNT
    for i in range(COUNT):
        parent = requests[f"request-{i}"]
        assert ran.named(f"t-{i}").is_child_of(parent)
        assert ran.named(f"continuation-{i}").is_child_of(parent)
        assert ran.named(f"t-{i}").end < ran.named(f"continuation-{i}").start
    follower, first = ran.named("follower"), min(
        (ran.named(f"continuation-{i}") for i in range(COUNT)), key=lambda span: span.start)
    assert (follower.trace_id, follower.parent_id) == (first.trace_id, first.parent_id)
    assert ran.named("tail").parent_id == ""


def test_continuation_ends_at_the_wait(rig):
    ran = rig.both([rig.host, "waits", rig.url()])
    assert ran.named("before-wait").is_child_of(ran.named("request-0"))
    assert ran.named("after-wait").parent_id == ""


def test_callbacks_run_in_the_context_of_their_transfer(rig):
    ran = rig.both([rig.host, "callbacks", rig.url(), rig.url("/upload")])
    for i in range(COUNT):
        transfer = ran.named(f"t-{i}")
        assert transfer.is_child_of(ran.named(f"request-{i}"))
        for kind in ("write", "header", "read", "progress"):
            assert ran.named(f"{kind}-{i}").is_child_of(transfer), kind
    assert max(s.start for s in ran.spans if s.mark.startswith("t-")) < min(
        s.end for s in ran.spans if s.mark.startswith("t-")), "they were not in flight together"


def test_callbacks_set_in_a_callback(rig):
    ran = rig.both([rig.host, "changes", rig.url()])
    assert "for other new data" in ran.out and "for other header data alone" in ran.out
    assert "for header data alone" in ran.out


def test_copy_of_a_handle_in_flight(rig):
    ran = rig.both([rig.host, "copies", rig.url()])
    assert ran.out.count("15 for both\n") == 1
    assert ran.request("copy").traceparent == ran.named("copy").traceparent


def test_removed_before_the_end(rig):
    ran = rig.both([rig.host, "removes", rig.url(), rig.url("/hang")])
    assert "removed in a callback: 8\n" in ran.out
    for mark in ("removed", "left", "cleaned"):
        assert (ran.named(mark).error, ran.named(mark).status) == ("cancelled", 2)
    assert ran.named("removed").end > ran.named("t-0").end  # not in the callback, where libcurl refused
    for mark in ("t-0", "used-again"):
        assert (ran.named(mark).error, ran.named(mark).status) == (None, 0)


@pytest.mark.parametrize("path", ["/text", "/chunked/3"])
def test_results_that_nobody_reads(rig, path):
    ran = rig.both([rig.host, "unread", rig.url(path)])
    for i, mark in enumerate(["first", "second"]):
        span = ran.named(mark)
        assert span.is_child_of(ran.named(f"request-{i}"))
        assert (span.error, span.status, span.attributes["http.response.status_code"]) == (None, 0, 200)


def test_pause(rig):
    ran = rig.both([rig.host, "paused", rig.url()])
    assert "1 calls inside\n" in ran.out
    assert ran.named("in-pause").is_child_of(ran.named("t-0"))


def test_resolver_thread_inherits_nothing(rig):
    ran = rig.both([rig.host, "resolver", rig.url(), rig.url("/text", "service.test")])
    assert ran.named("t-0").is_child_of(ran.named("request-0"))
    assert ran.named("in-resolver").parent_id == ""


@pytest.mark.parametrize("mode, more", [("loop", []), ("callbacks", ["/upload"]), ("changes", []), ("copies", []),
                                        ("removes", ["/hang"]), ("paused", [])])
def test_memory(rig, mode, more):
    """valgrind finds no use of freed memory, and nothing of ours lost."""
    valgrind = shutil.which("valgrind")
    assert valgrind, "valgrind is not installed"
    log = rig.place / "valgrind.log"
    ran = rig.run([valgrind, "--leak-check=full", "--show-leak-kinds=definite", f"--log-file={log}", rig.host, mode,
                   rig.url(), *[rig.url(path) for path in more]])
    assert ran.code == 0, ran.err
    text = log.read_text()
    ours = [block for block in re.split(r"\n==\d+== \n", text) if "libotelshim" in block and " at 0x" in block]
    assert ours == [], text
    assert "Invalid read" not in text and "Invalid write" not in text, text
    assert ran.spans
