"""What a CLIENT span of an HTTP request must look like (semantic conventions 1.44), for all end-to-end tests."""

import re

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def client_span(span, method, url, status=None, error=None, port=None, address="127.0.0.1",
                version="1.1", resend=None, peer_port=None, parent=None):
    """Asserts everything about `span`. status None: no answer came, `error` is the CURLcode's name then."""
    found = span.attributes
    assert span.kind == "CLIENT", span
    assert span.name == method, span
    assert found["http.request.method"] == method
    assert found["url.full"] == url, span
    assert found["server.address"] == address, span
    assert found["server.port"] == port, span
    assert re.fullmatch("[0-9a-f]{32}", span.trace_id) and set(span.trace_id) != {"0"}
    assert re.fullmatch("[0-9a-f]{16}", span.span_id) and set(span.span_id) != {"0"}
    assert span.flags & 1, "a recorded span is sampled"
    assert 0 < span.start < span.end, span
    assert found.get("http.response.status_code") == status, span
    if status is not None:
        assert found["network.protocol.version"] == version, span
        assert found["network.peer.address"] == "127.0.0.1", span
        assert found["network.peer.port"] == (peer_port or port), span
    if error is None and status is not None and status >= 400:
        error = str(status)
    assert found.get("error.type") == error, span
    assert span.status == ("ERROR" if error else "UNSET"), span
    assert found.get("http.request.resend_count") == resend, span
    if parent is None:
        assert span.parent_id == "", span
    else:
        assert (span.trace_id, span.parent_id) == parent, span


def carried(spans, requests):
    """Every request carries exactly one traceparent, and it is that of one of the spans: each span's at least
    once, in the order of the requests. Returns the spans in that order, one for each request."""
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "span ids repeat"
    result = []
    for request in requests:
        assert request.traceparent, f"{request.method} {request.path} carries no traceparent"
        assert TRACEPARENT.fullmatch(request.traceparent), request.traceparent
        span = by_id.get(request.traceparent.split("-")[2])
        assert span, f"{request.method} {request.path}: {request.traceparent} is of no exported span"
        assert request.traceparent == span.traceparent
        result.append(span)
    assert {span.span_id for span in result} == set(by_id), "spans without a request"
    return result


def resource(span, executable, service=None):
    """The resource of a process that was given no attributes of its own."""
    found = span.resource
    assert found["service.name"] == (service or f"unknown_service:{executable}"), found
    assert found["telemetry.sdk.language"] == "c"
    assert found["telemetry.sdk.name"] not in ("", "opentelemetry")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", found["telemetry.sdk.version"])
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["service.instance.id"])
    assert isinstance(found["process.pid"], int) and found["process.pid"] > 1
    assert found["process.executable.name"] == executable, found
    assert found["os.type"] == "linux"
    assert found["host.name"]
