"""The optional interface: a program that includes otelshim.h and links nothing of it does nothing bare, and is heard
when otelshim is preloaded. In C and C++, with and without PIE. Hosts: api_host.c."""

import pytest

import curl_rig

NONE = "000 [] [] []"


class NoOrigin:
    def take(self):
        return []


@pytest.fixture(scope="module", params=["c", "c++", "no-pie", "pic-library"])
def host(request, tmp_path_factory):
    """Weak references are looked up at run time wherever they go through the GOT, which is so in all
    position-independent code, and in other code with -fno-plt."""
    place = tmp_path_factory.mktemp("api")
    source = curl_rig.HERE / "api_host.c"
    out = place / "api"
    if request.param == "c++":
        return curl_rig.build(out, "-xc++", source, "-lpthread", language="c++")
    if request.param == "no-pie":
        return curl_rig.build(out, "-fno-pie", "-fno-plt", "-no-pie", source, "-lpthread")
    if request.param == "pic-library":
        library = curl_rig.build(place / "libapi.so", "-shared", "-fPIC", "-Dmain=api_main", source, "-lpthread")
        main = place / "main.c"
        main.write_text("int api_main(int, char **);\nint main(int c, char **v) { return api_main(c, v); }\n")
        return curl_rig.build(out, main, library, f"-Wl,-rpath,{place}")
    return curl_rig.build(out, source, "-lpthread")


@pytest.fixture
def rig(tmp_path, host):
    rig = curl_rig.Rig(tmp_path, NoOrigin())
    rig.host = host
    return rig


def said(rig):
    """What the host found, line by line: what it is about, the rest."""
    return dict((line.split(" ", 1) if not line.startswith(("baggage", "set", "remove")) else (number, line))
                for number, line in enumerate((rig.place / "found").read_text().splitlines()))


def run(rig, **env):
    return rig.both([rig.host, rig.place / "found"], **env), said(rig)


def test_bare(rig):
    ran = rig.run([rig.host, rig.place / "found"], preload=False)
    found = said(rig)
    assert (ran.code, ran.out, ran.err) == (0, "errno 4711\n", "")
    assert found["present"] == "0" and found["flush"] == "-1"
    for place in ("nothing", "in-a", "in-b", "thread-attached"):
        assert found[place] == NONE
    lines = [line for key, line in found.items() if isinstance(key, int)]
    assert set(lines) == {"baggage user -1 ", "baggage key -1 ", "baggage inner -1 ", "set -1", "remove -1"}


def test_spans_nest(rig):
    ran, found = run(rig)
    assert found["present"] == "1" and found["flush"] == "0" and ran.out == "errno 4711\n"
    a, b = ran.named("a"), ran.named("b")
    for place, span in (("in-a", a), ("in-b", b), ("in-a-again", a)):
        assert found[place] == f"111 [{span.trace_id}] [{span.span_id}] [{span.traceparent}]"
    assert b.is_child_of(a) and a.parent_id == ""
    assert (a.kind, b.kind) == ("SERVER", "INTERNAL")
    assert a.start < b.start < b.end < a.end
    assert found["nothing"] == found["nothing-again"] == NONE
    assert "not-ended" not in {span.name for span in ran.spans}


def test_attributes(rig):
    ran, _ = run(rig)
    span = ran.named("attributes")
    assert span.attributes == {"text": "second", "bytes": "a?z", "int": -5, "double": 0.5, "bool": True}
    assert span.events == ["happened"] and span.status == 2


def test_contexts_are_handed_over(rig):
    ran, found = run(rig)
    captured, elsewhere = ran.named("captured"), ran.named("ended-elsewhere")
    # The thread begins in what was current where it was made.
    assert found["thread-before"].split()[2] == found["thread-after"].split()[2] == f"[{elsewhere.span_id}]"
    assert found["thread-attached"].split()[2] == f"[{captured.span_id}]"
    assert ran.named("in-thread").is_child_of(captured) and ran.named("in-thread").kind == "CONSUMER"
    assert elsewhere.is_child_of(captured) and elsewhere.attributes == {"from.thread": 7}
    assert found["after-captured"] == NONE
    assert ran.named("late").is_child_of(captured)


def test_threads_switched_off(rig):
    ran, found = run(rig, OTELSHIM_INSTRUMENTATIONS="-thread")
    assert found["thread-before"] == found["thread-after"] == NONE
    assert found["thread-attached"].split()[2] == f"[{ran.named('captured').span_id}]"


def test_baggage(rig):
    ran, found = run(rig, OTELSHIM_BAGGAGE_ATTRIBUTES="key,us*")
    lines = [line for key, line in found.items() if isinstance(key, int)]
    assert lines == ["baggage user 3 j\u00f6", "baggage key -1 ", "set 0", "baggage key 7 va l,ue", "set 0",
                     "baggage inner 1 1", "baggage inner -1 ", "remove 0", "baggage key -1 "]
    assert ran.named("with-baggage").attributes == {"key": "va l,ue"}
    assert ran.named("in-thread").attributes == {"user": "j\u00f6"}
    assert ran.named("captured").attributes == {}


def test_without_pie_the_linker_decides(rig, tmp_path):
    """Code with absolute addresses is linked as if otelshim were not there: it does nothing, and does no harm."""
    rig.host = curl_rig.build(tmp_path / "absolute", "-fno-pie", "-no-pie", curl_rig.HERE / "api_host.c", "-lpthread")
    ran, found = run(rig)
    assert ran.spans == [] and found["present"] == "0" and found["in-a"] == NONE


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "OTELSHIM_DISABLED"])
def test_disabled(rig, variable):
    ran, found = run(rig, **{variable: "true"})
    assert ran.spans == [] and found["in-a"] == found["thread-attached"] == NONE and found["present"] == "1"


def test_not_sampled(rig):
    ran, found = run(rig, OTEL_TRACES_SAMPLER="always_off")
    assert ran.spans == [] and found["in-a"].endswith(("-00]", "-02]"))
