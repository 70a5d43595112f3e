"""Fixtures of the end-to-end tests: servers on free ports of 127.0.0.1, a receiver of spans, and `host`, which
runs programs. Servers without state of a test live for the whole session, the rest for one test."""

import inspect
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import frontend  # noqa: E402
import host as hosts  # noqa: E402
import origin as origins  # noqa: E402
import receiver as receivers  # noqa: E402


# What these look at is curl itself, or the libraries in memory. Or they fork: the stack of the parent's exporter thread
# stays poisoned in the child, and the child's own exporter thread is given it.
NOT_UNDER_ASAN = ("test_console", "test_service_name", "test_program_without_spans_is_left_as_it_was",
                  "test_child_of_fork_exports_on_its_own", "test_multiprocessing",
                  "test_environment_that_the_host_clears")


def pytest_sessionstart(session):
    for path in (hosts.SHIM, hosts.EXPORTER):
        if not os.path.exists(path):
            pytest.exit(f"{path} is not there: build first (scripts/test does)", returncode=3)


def pytest_collection_modifyitems(config, items):
    """Leaves out what cannot run under AddressSanitizer: see tests/README.md."""
    if not hosts.SANITIZED:
        return
    kept, left_out = [], []
    for item in items:
        source = inspect.getsource(item.function)
        hangs = re.search(r'"git"|curl -sS', source) or \
            (item.path.name == "test_real_programs.py" and re.search(r"\bCURL\b", source))
        (left_out if hangs or item.originalname in NOT_UNDER_ASAN else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return frontend.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def session_origin():
    origin = origins.Origin()
    yield origin
    origin.close()


@pytest.fixture
def origin(session_origin):
    session_origin.take()
    session_origin.files.clear()
    session_origin.git_root = None
    return session_origin


@pytest.fixture(scope="session")
def session_nginx(tmp_path_factory, authority, session_origin):
    nginx = frontend.Nginx(tmp_path_factory.mktemp("nginx"), authority, session_origin.port)
    yield nginx
    nginx.close()


@pytest.fixture
def nginx(session_nginx, origin):
    """TLS and HTTP/2 before the origin."""
    return session_nginx


@pytest.fixture
def receiver():
    receiver = receivers.Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def closing():
    """A list whose members are closed at the test's end, last first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def host(tmp_path, receiver):
    home = tmp_path / "home"
    home.mkdir()
    return hosts.Host(home, receiver.endpoint)


@pytest.fixture
def traced(host, origin, receiver):
    """Runs a command bare and preloaded, asserts that neither its output nor what the origin got differs, and
    returns (result, spans in order of their start, requests of the traced run)."""

    def run(command, **options):
        seen = []
        before = options.pop("before", None)

        def each():
            seen.append(origin.take())
            if before:
                before()

        result = host.same(command, before=each, **options)
        requests = origin.take()
        hosts.same_requests(seen[1], requests)
        assert not [r for r in seen[1] if r.traceparent]
        spans = sorted(receiver.drain(), key=lambda span: span.start)
        return result, spans, requests

    return run


@pytest.fixture
def shimmed(host, origin, receiver):
    """Runs a command preloaded only, where a bare run would differ by design; returns what traced() does."""

    def run(command, **options):
        origin.take()
        result = host.run(command, **options)
        spans = sorted(receiver.drain(), key=lambda span: span.start)
        return result, spans, origin.take()

    return run
