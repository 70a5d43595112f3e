"""libcurl's easy interface under the preload: what the application sees is as bare, what the server gets is in the
right trace. Real libcurl, hosts of our own (curl_easy_host.c)."""

import re
import shutil
import socket

import pytest

import curl_rig
import origin as origins

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FLAVOURS = {"gnutls": "libcurl-gnutls.so.4", "openssl": "libcurl.so.4"}


@pytest.fixture(scope="session")
def server():
    origin = origins.Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    place = tmp_path_factory.mktemp("curl")
    return curl_rig.build(place / "easy", curl_rig.HERE / "curl_easy_host.c", "-lcurl", "-lpthread")


@pytest.fixture
def rig(tmp_path, server, host):
    rig = curl_rig.Rig(tmp_path, server)
    rig.host = host
    return rig


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_span_for_each_transfer(rig):
    urls = [rig.url(f"/text?{i}") for i in range(3)]
    ran = rig.both([rig.host, "sequence", *urls])
    spans = curl_rig.carried(ran)
    assert [span.url for span in spans] == urls
    assert len({span.trace_id for span in spans}) == 3  # nothing joins them
    for span in spans:
        assert (span.kind, span.name, span.parent_id, span.status) == ("CLIENT", "GET", "", 0)
        expected = {"http.request.method": "GET", "server.address": "127.0.0.1", "server.port": rig.origin.port,
                    "http.response.status_code": 200, "network.peer.address": "127.0.0.1",
                    "network.peer.port": rig.origin.port, "network.protocol.version": "1.1"}
        assert expected.items() <= span.attributes.items()
        assert span.attributes["curl.time_starttransfer"] > 0
        assert "http.request.resend_count" not in span.attributes
    assert "curl.time_connect" in spans[0].attributes and "curl.time_connect" not in spans[1].attributes
    assert spans[0].start < spans[0].end <= spans[1].start


def test_header_lists(rig):
    ran = rig.both([rig.host, "lists", rig.url()])
    curl_rig.carried(ran)
    assert [r.all("x-list") for r in ran.requests] == [["first"], ["replaced"], [], ["before"], ["after"]]
    assert ran.requests[1].all("x-more") == ["one"]


def test_a_list_that_two_threads_share(rig):
    ran = rig.both([rig.host, "shared", rig.url()])
    assert ran.out == "0 failed\n"
    curl_rig.carried(ran)
    assert len(ran.spans) == len(ran.requests) == 60
    assert all(r.all("x-list") == ["shared"] for r in ran.requests)


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT", "traceParent"])
def test_own_traceparent(rig, name):
    value = f"00-{TRACE}-{SPAN}-01"
    ran = rig.both([rig.host, "own", rig.url(), f"{name}: {value}", "tracestate: a=b, c=d"])
    own, nested = ran.named("own"), ran.named("nested")
    assert ran.request("own").all("traceparent") == [value]
    assert ran.request("own").all("tracestate") == ["a=b, c=d"]
    assert (own.trace_id, own.parent_id) == (TRACE, SPAN)
    assert nested.is_child_of(own)
    assert ran.request("nested").all("traceparent") == [nested.traceparent]
    assert ran.request("nested").all("tracestate") == ["a=b,c=d"]


@pytest.mark.parametrize("header", [
    f"b3: {TRACE}-{SPAN}-1", f"B3: {TRACE}-{SPAN}-1", f"uber-trace-id: {TRACE}:{SPAN}:0:1",
    f"Uber-Trace-Id: {TRACE}:{SPAN}:0:1", f"X-Amzn-Trace-Id: Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"])
def test_own_context_in_another_format(rig, header):
    ran = rig.both([rig.host, "own", rig.url(), header])
    own = ran.named("own")
    assert ran.request("own").all("traceparent") == []
    assert ran.request("own").all(header.partition(":")[0].lower()) == [header.partition(": ")[2]]
    assert (own.trace_id, own.parent_id) == (TRACE, SPAN)


def test_own_b3_in_several_headers(rig):
    ran = rig.both([rig.host, "own", rig.url(), f"X-B3-TraceId: {TRACE}", f"x-b3-spanid: {SPAN}", "X-B3-Sampled: 1"])
    assert ran.request("own").all("traceparent") == []
    assert (ran.named("own").trace_id, ran.named("own").parent_id) == (TRACE, SPAN)


@pytest.mark.parametrize("header", ["traceparent:", "Traceparent:", "traceparent;", "traceparent : nonsense"])
def test_taken_out_or_unreadable_traceparent(rig, header):
    ran = rig.both([rig.host, "own", rig.url(), header])
    own = ran.named("own")
    assert own.parent_id == ""
    assert own.traceparent not in ran.request("own").all("traceparent")
    assert ran.named("nested").is_child_of(own)


def test_own_baggage(rig):
    ran = rig.both([rig.host, "own", rig.url(), "Baggage: mine=1"])
    assert ran.request("own").all("baggage") == ["mine=1"]
    assert ran.request("own").all("traceparent") == [ran.named("own").traceparent]


def test_reset(rig):
    ran = rig.both([rig.host, "reset", rig.url()])
    curl_rig.carried(ran)
    assert [(r.method, r.all("x-list")) for r in ran.requests] == [("DELETE", ["set"]), ("GET", [])]
    assert [span.name for span in ran.spans] == ["DELETE", "GET"]
    assert ran.out.splitlines()[1:3] == ["3", "4711"]


def test_duphandle(rig):
    ran = rig.both([rig.host, "duphandle", rig.url("/redirect/1/text")])
    by_id = {span.traceparent: span for span in ran.spans}
    assert len(ran.spans) == 3 and len(ran.requests) == 6
    for request in ran.requests:
        assert by_id[request.traceparent] and request.all("x-list") == ["of both"]
        assert request.all("baggage") == ["who=me"]
    assert len({request.traceparent for request in ran.requests}) == 3
    assert len({span.trace_id for span in ran.spans}) == 3


def test_copy_that_is_not_traced(rig):
    """Nothing of the original's transfer is left in a copy made meanwhile."""
    ran = rig.both([rig.host, "duphandle", rig.url()], OTELSHIM_IGNORE_URLS="*in-flight*")
    request = ran.request("in-flight")
    assert request.traceparent is None and request.all("baggage") == []
    assert request.all("x-list") == ["of both"] and len(ran.spans) == 2


def test_nested_and_sequential(rig):
    ran = rig.both([rig.host, "nested", rig.url()])
    curl_rig.carried(ran)
    outer, inner, after = ran.named("outer"), ran.named("inner"), ran.named("after")
    assert inner.is_child_of(outer) and outer.start < inner.start < inner.end < outer.end
    assert after.parent_id == "" and after.trace_id != outer.trace_id
    assert outer.attributes["by.callback"] == "yes" and "by.callback" not in inner.attributes


def test_longjmp_out_of_a_callback(rig):
    ran = rig.both([rig.host, "jumps", rig.url()])
    for mark in ("one", "two", "three"):
        assert ran.named(mark).parent_id == "", ran.spans
        assert ran.request(mark).traceparent == ran.named(mark).traceparent


def test_cancelled_thread(rig):
    ran = rig.both([rig.host, "cancel", rig.url(), rig.url("/hang")])
    assert ran.out.startswith("cancelled\n")
    assert ran.named("after").parent_id == ran.named("later").parent_id == ""
    gone = ran.named("cancelled")
    assert (gone.error, gone.status) == ("cancelled", 2)


def test_connect_only(rig):
    ran = rig.both([rig.host, "connect_only", rig.url()])
    assert ran.out.endswith("HTTP/1.1 200 OK\n")
    assert ran.spans == [] and ran.requests[0].headers == [("host", "by-hand"), ("connection", "close")]


@pytest.mark.parametrize("connect_only", [[], ["2"]])
def test_websocket_handshake(rig, connect_only):
    ran = rig.both([rig.host, "upgrade", rig.url("/status/426"), *connect_only])
    curl_rig.carried(ran)
    assert ran.requests[0].all("upgrade") == ["websocket"]
    assert ran.spans[0].attributes["http.response.status_code"] == 426


def test_websocket_scheme(rig):
    """Where libcurl has no WebSocket this is an error, and the span says so."""
    ran = rig.both([rig.host, "sequence", rig.url().replace("http:", "ws:")])
    if ran.requests:
        curl_rig.carried(ran)
    else:
        assert ran.spans[0].error == "CURLE_UNSUPPORTED_PROTOCOL"


def test_other_protocols(rig, tmp_path):
    (tmp_path / "file").write_text("text")
    ftp = origins.Ftp(b"content\n")
    try:
        for url in (f"ftp://127.0.0.1:{ftp.port}/file", f"file://{tmp_path}/file"):
            ran = rig.both([rig.host, "sequence", url])
            assert ran.out.startswith("0 ") and ran.spans == []
        before = len(ftp.commands)
        ran = rig.both([rig.host, "schemeless", f"ftp.localhost:{ftp.port}/file"])
        assert ran.out.startswith("0 226") and ran.spans == [] and len(ftp.commands) > before
    finally:
        ftp.close()


def test_url_in_parts(rig):
    ran = rig.both([rig.host, "parts", rig.url()])
    assert [span.mark for span in curl_rig.carried(ran)] == ["first", "second"]


@pytest.mark.parametrize("default", [[], ["http"]])
def test_url_without_scheme(rig, default):
    ran = rig.both([rig.host, "schemeless", rig.url().removeprefix("http://"), *default])
    span, = curl_rig.carried(ran)
    assert span.url == rig.url()


def test_default_protocol_that_is_not_http(rig):
    ftp = origins.Ftp(b"content\n")
    try:
        ran = rig.both([rig.host, "schemeless", f"127.0.0.1:{ftp.port}/file", "ftp"])
        assert ran.out.startswith("0 226") and ran.spans == []
    finally:
        ftp.close()


def test_methods(rig):
    ran = rig.both([rig.host, "methods", rig.url()])
    spans = curl_rig.carried(ran)
    sent = [request.method for request in ran.requests]
    assert sent == ["GET", "HEAD", "POST", "PATCH", "GET", "PUT", "PURGE", "POST"]
    assert [span.name for span in spans] == ["HTTP" if method == "PURGE" else method for method in sent]
    assert [span.attributes.get("http.request.method_original", span.attributes["http.request.method"])
            for span in spans] == sent
    assert spans[6].attributes["http.request.method"] == "_OTHER"


def test_known_methods_are_configurable(rig):
    ran = rig.both([rig.host, "methods", rig.url()], OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS="PURGE,GET")
    assert [span.name for span in ran.spans] == ["GET", "HTTP", "HTTP", "HTTP", "GET", "HTTP", "PURGE", "HTTP"]


def test_signed_requests_are_left_alone(rig):
    ran = rig.run([rig.host, "signs", rig.url()])
    request, = ran.requests
    assert request.traceparent is None and "traceparent" not in request.all("authorization")[0]
    assert ran.spans[0].attributes["http.response.status_code"] == 200


def test_ignored_urls(rig):
    ran = rig.both([rig.host, "sequence", rig.url("/text?a"), rig.url("/status/204?health")],
                   OTELSHIM_IGNORE_URLS="*health*,169.254.169.254")
    assert [span.mark for span in ran.spans] == ["a"]
    assert [request.traceparent is None for request in ran.requests] == [False, True]


def test_redacted_urls(rig):
    url = rig.url("/text?token=secret&sig=x&open=1").replace("http://", "http://me:password@")
    ran = rig.both([rig.host, "sequence", url], OTELSHIM_REDACT_QUERY="token")
    assert ran.spans[0].url == rig.url("/text?token=REDACTED&sig=REDACTED&open=1").replace(
        "http://", "http://REDACTED:REDACTED@")
    assert ran.requests[0].path == "/text?token=secret&sig=x&open=1"


def test_captured_headers(rig):
    ran = rig.both([rig.host, "own", rig.url(), "X-One: 1", "x-two: a", "X-Two: b"],
                   OTELSHIM_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS="x-one,x-two,x-three",
                   OTELSHIM_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS="content-type, x-none")
    found = {key: value for key, value in ran.named("own").attributes.items() if ".header." in key}
    assert found == {"http.request.header.x-one": ["1"], "http.request.header.x-two": ["a", "b"],
                     "http.response.header.content-type": ["text/plain"]}


# Where trace context and baggage go -------------------------------------------------------------------------


def hops(ran):
    """Whether each request carried trace context and baggage, by the host it was sent to."""
    return [(r.all("host")[0].partition(":")[0], bool(r.traceparent), r.all("baggage")) for r in ran.requests]


@pytest.mark.parametrize("prereq", [[], ["them"]])
@pytest.mark.parametrize("first", ["127.0.0.1", "localhost"])
def test_policy_holds_for_every_hop(rig, first, prereq):
    """To 127.0.0.1 only, from there and to there."""
    other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[first]
    rig.origin.files.clear()
    path = "/elsewhere/text" if first == "127.0.0.1" else "/back"
    if first == "localhost":  # the origin's /elsewhere goes to localhost: come back from it by a second hop
        first, other, path = "127.0.0.1", "localhost", "/elsewhere/elsewhere/text"
    ran = rig.both([rig.host, "follow", rig.url(path, first), *prereq], OTELSHIM_PROPAGATE_TO="127.0.0.0/8")
    count = 1 if path == "/elsewhere/text" else 2
    once = [(first, True, ["who=me"])] + [(other, False, [])] * count
    assert hops(ran) == once * 2
    assert [span.attributes["http.request.resend_count"] for span in ran.spans] == [count, count]
    if prereq:
        lines = [line for line in ran.out.splitlines() if line.startswith("before request")]
        assert [line.rpartition(" ")[2] for line in lines] == ["them"] * (count + 1) + ["us"] * (count + 1)


def test_policy_allows_a_later_hop(rig):
    ran = rig.both([rig.host, "follow", rig.url("/elsewhere/text")], OTELSHIM_PROPAGATE_TO="localhost")
    assert hops(ran) == [("127.0.0.1", False, []), ("localhost", True, ["who=me"])] * 2


def test_prereq_set_in_the_middle(rig):
    ran = rig.both([rig.host, "follow_late", rig.url("/elsewhere/text")], OTELSHIM_PROPAGATE_TO="127.0.0.1")
    assert "for them" in ran.out
    assert hops(ran) == [("127.0.0.1", True, ["who=me"]), ("localhost", False, [])]


def test_baggage_goes_to_local_names_and_listed_ones(rig):
    """A name that is not local by its look, which the environment's proxy setting sends to the origin."""
    urls = ["http://service.example.org/text"]
    proxied = {"http_proxy": rig.url("")}
    for listed, expected in (("", []), ("*.example.org", ["who=me"])):
        ran = rig.run([rig.host, "follow", *urls], OTELSHIM_BAGGAGE_TO=listed, **proxied)
        assert [r.all("baggage") for r in ran.requests] == [expected] * 2, listed
        assert all(r.traceparent for r in ran.requests)


def test_resend_count(rig):
    ran = rig.both([rig.host, "follow", rig.url("/redirect/3/text")])
    assert len(ran.requests) == 8
    assert [span.attributes["http.request.resend_count"] for span in ran.spans] == [3, 3]
    assert [span.url for span in ran.spans] == [rig.url("/redirect/3/text")] * 2
    assert len({request.traceparent for request in ran.requests}) == 2


# Failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, error", [
    ("/hang", "CURLE_OPERATION_TIMEDOUT"), ("/close", "CURLE_GOT_NOTHING"), ("/short", "CURLE_PARTIAL_FILE"),
    ("/status/503", "503"), ("/status/404", "404")])
def test_failed_transfers(rig, path, error):
    ran = rig.both([rig.host, "fails", rig.url(path)])
    span, = ran.spans
    assert (span.error, span.status) == (error, 2)


@pytest.mark.parametrize("url, error", [
    ("http://nowhere.invalid/", "CURLE_COULDNT_RESOLVE_HOST"), ("refused", "CURLE_COULDNT_CONNECT")])
def test_no_connection(rig, url, error):
    url = f"http://127.0.0.1:{free_port()}/" if url == "refused" else url
    ran = rig.both([rig.host, "fails", url])
    assert ran.spans[0].error == error
    assert "http.response.status_code" not in ran.spans[0].attributes


def test_fail_on_error(rig):
    ran = rig.both([rig.host, "fails", rig.url("/status/500"), "fail"])
    span, = ran.spans
    assert ran.out.startswith("22\n")
    assert span.error == "500" and span.attributes["http.response.status_code"] == 500


def test_malformed_url(rig):
    ran = rig.both([rig.host, "fails", "http://"])
    assert ran.out.startswith("3\n") and ran.requests == []


# Settings ---------------------------------------------------------------------------------------------------


def test_disabled(rig):
    ran = rig.both([rig.host, "nested", rig.url()], OTELSHIM_DISABLED="true")
    assert ran.spans == [] and all(r.traceparent is None for r in ran.requests)


@pytest.mark.parametrize("families", ["-curl", "thread"])
def test_family_switched_off(rig, families):
    ran = rig.both([rig.host, "nested", rig.url()], OTELSHIM_INSTRUMENTATIONS=families)
    assert ran.spans == [] and all(r.traceparent is None for r in ran.requests)


def test_sdk_disabled_passes_on(rig):
    """No spans; what an application names itself, and baggage, still travels."""
    ran = rig.both([rig.host, "own", rig.url(), f"traceparent: 00-{TRACE}-{SPAN}-01"], OTEL_SDK_DISABLED="true")
    assert ran.spans == []
    assert ran.request("own").traceparent == ran.request("nested").traceparent == f"00-{TRACE}-{SPAN}-01"
    ran = rig.both([rig.host, "baggage", rig.url()], OTEL_SDK_DISABLED="true")
    assert ran.spans == [] and ran.requests[0].traceparent is None
    assert ran.requests[0].all("baggage") == ["tenant=a%20b"]


def test_no_exporter_still_injects(rig):
    ran = rig.both([rig.host, "nested", rig.url()], OTEL_TRACES_EXPORTER="none")
    assert ran.spans == [] and all(r.traceparent.endswith(("-01", "-03")) for r in ran.requests)


def formats(span):
    trace, own, parent = span.trace_id, span.span_id, span.parent_id
    return {
        "b3": {"b3": f"{trace}-{own}-1"},
        "b3multi": {"x-b3-traceid": trace, "x-b3-spanid": own, "x-b3-sampled": "1"},
        "jaeger": {"uber-trace-id": f"{trace}:{own}:0:1"},
        "xray": {"x-amzn-trace-id": f"Root=1-{trace[:8]}-{trace[8:]};Parent={own};Sampled=1"},
        "tracecontext": {"traceparent": span.traceparent},
    }


@pytest.mark.parametrize("names", ["b3", "b3multi", "jaeger", "xray", "tracecontext", "tracecontext,b3,jaeger", "none"])
def test_propagators(rig, names):
    ran = rig.both([rig.host, "nested", rig.url()], OTEL_PROPAGATORS=names)
    for mark in ("outer", "inner", "after"):
        expected = {}
        for name in names.split(","):
            expected |= formats(ran.named(mark)).get(name, {})
        sent = {key.lower(): value for key, value in ran.request(mark).headers if key in curl_rig.OURS}
        assert sent == expected


def test_baggage_is_sent(rig):
    ran = rig.both([rig.host, "baggage", rig.url()], OTELSHIM_BAGGAGE_ATTRIBUTES="ten*")
    assert ran.requests[0].all("baggage") == ["tenant=a%20b"]
    assert ran.named("one").is_child_of(ran.named("root"))
    assert ran.named("one").attributes["tenant"] == "a b"


SAMPLERS = {  # (sampler, argument): (of a root, of a sampled parent, of one that is not)
    ("always_on", ""): (True, True, True),
    ("always_off", ""): (False, False, False),
    ("traceidratio", "1"): (True, True, True),
    ("traceidratio", "0"): (False, False, False),
    ("parentbased_always_on", ""): (True, True, False),
    ("parentbased_always_off", ""): (False, True, False),
    ("parentbased_traceidratio", "1"): (True, True, False),
    ("parentbased_traceidratio", "0"): (False, True, False),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers(rig, sampler):
    env = {"OTEL_TRACES_SAMPLER": sampler[0], "OTEL_TRACES_SAMPLER_ARG": sampler[1]}
    root, sampled, unsampled = SAMPLERS[sampler]
    ran = rig.run([rig.host, "nested", rig.url()], **env)
    assert len(ran.spans) == (3 if root else 0)
    assert [int(r.traceparent[-2:], 16) & 1 for r in ran.requests] == [root] * 3
    for flags, expected in (("01", sampled), ("00", unsampled)):
        ran = rig.run([rig.host, "own", rig.url(), f"traceparent: 00-{TRACE}-{SPAN}-{flags}"], **env)
        assert len(ran.spans) == (2 if expected else 0), (flags, ran.spans)
        assert int(ran.request("nested").traceparent[-2:], 16) & 1 == expected


# Threads and modules ----------------------------------------------------------------------------------------


def test_a_handle_that_moves_between_threads(rig):
    ran = rig.both([rig.host, "moves", rig.url()])
    assert [span.mark for span in curl_rig.carried(ran)] == ["main", "first", "second"]
    assert all(span.parent_id == "" for span in ran.spans)


def test_a_span_that_the_program_ended_is_not_ended_again(rig):
    ran = rig.both([rig.host, "ends_current", rig.url()])
    assert sorted(span.name for span in ran.spans) == ["GET", "a", "b"]
    ids = [span.span_id for span in ran.spans]
    assert len(set(ids)) == 3
    spans = {span.name: span for span in ran.spans}
    assert spans["b"].parent_id == spans["a"].span_id


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    """A host of libcurl, one without, and a plugin of each flavour."""
    place = tmp_path_factory.mktemp("modules")
    source = curl_rig.HERE / "curl_loader.c"
    built = {"linked": curl_rig.build(place / "linked", "-DLINKED", source, "-lcurl", "-ldl"),
             "unlinked": curl_rig.build(place / "unlinked", source, "-ldl")}
    for flavour, library in FLAVOURS.items():
        built[flavour] = curl_rig.build(place / f"plugin-{flavour}.so", "-shared", "-fPIC",
                                        curl_rig.HERE / "curl_plugin.c", f"-l:{library}")
    built["early"] = curl_rig.build(place / "early", source, "-Wl,--no-as-needed", built["openssl"],
                                    f"-Wl,-rpath,{place}", "-ldl")
    return built


def test_plugin_of_the_other_flavour(rig, modules):
    ran = rig.both([modules["linked"], "plugin", rig.url(), modules["gnutls"]])
    assert ran.out == "0 200\n0 OpenSSL\n"
    curl_rig.carried(ran)


def test_two_plugins_in_a_host_without_libcurl(rig, modules):
    ran = rig.both([modules["unlinked"], "plugin", rig.url(), modules["gnutls"], modules["openssl"], modules["gnutls"]])
    assert len(curl_rig.carried(ran)) == 3


@pytest.mark.parametrize("which", ["linked", "unlinked"])
def test_functions_by_dlsym(rig, modules, which):
    ran = rig.both([modules[which], "dlsym", rig.url(), *FLAVOURS.values()])
    assert len(curl_rig.carried(ran)) == (5 if which == "linked" else 4)


def test_constructor_before_main(rig, modules):
    """A library's constructor uses libcurl, before ours has run or after."""
    rig_both = rig.run([modules["early"], "plugin", rig.url()], preload=False, EARLY_URL=rig.url())
    ran = rig.run([modules["early"], "plugin", rig.url()], EARLY_URL=rig.url())
    assert (ran.out, ran.err, ran.code) == (rig_both.out, rig_both.err, 0) and ran.out == "0 200\n"
    assert len(ran.requests) == 1
    assert [request.traceparent for request in ran.requests if request.traceparent] == [s.traceparent for s in ran.spans]


# Memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["lists", "duphandle", "own", "reset", "cancel", "shared"])
def test_memory(rig, mode):
    """valgrind finds no use of freed memory, and nothing of ours lost."""
    valgrind = shutil.which("valgrind")
    assert valgrind, "valgrind is not installed"
    path = "/redirect/1/text" if mode == "duphandle" else "/text"
    more = {"own": [f"traceparent: 00-{TRACE}-{SPAN}-01", "baggage: a=b"], "cancel": [rig.url("/hang")]}.get(mode, [])
    log = rig.place / "valgrind.log"
    ran = rig.run([valgrind, "--leak-check=full", "--show-leak-kinds=definite", f"--log-file={log}", rig.host, mode,
                   rig.url(path), *more])
    assert ran.code == 0, ran.err
    text = log.read_text()
    ours = [block for block in re.split(r"\n==\d+== \n", text) if "libotelshim" in block and " at 0x" in block]
    assert ours == [], text
    assert "Invalid read" not in text and "Invalid write" not in text, text
    assert ran.spans
