"""Threads carry the context of who made them, and lose it when they wait for the next piece of work. The work of a
thread is a transfer of libcurl's, whose parent tells. Hosts: thread_host.c."""

import re
import shutil

import pytest

import curl_rig
import origin as origins

WAYS = ["cond_timedwait", "cond_clockwait", "cnd_timedwait", "sem_wait", "sem_timedwait", "sem_clockwait",
        "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect", "accept", "accept4", "futex"]


@pytest.fixture(scope="module")
def server():
    origin = origins.Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = tmp_path_factory.mktemp("thread")
    source = curl_rig.HERE / "thread_host.c"
    return {"plain": curl_rig.build(place / "thread", source, "-lcurl", "-lpthread"),
            "fortified": curl_rig.build(place / "fortified", "-O2", "-D_FORTIFY_SOURCE=2", source, "-lcurl",
                                        "-lpthread")}


@pytest.fixture
def rig(tmp_path, server, built):
    rig = curl_rig.Rig(tmp_path, server)
    rig.host = built["plain"]
    return rig


def check_waits(ran, ends):
    request = ran.named("request")
    assert ran.named("waited-in-request").is_child_of(request)
    assert ran.named("before-wait").is_child_of(request)
    if ends:
        assert ran.named("after-wait").parent_id == ""
    else:
        assert ran.named("after-wait").is_child_of(request)


@pytest.mark.parametrize("way", WAYS)
def test_wait_ends_an_inherited_context(rig, way):
    check_waits(rig.both([rig.host, "waits", rig.url(), way]), ends=True)


def test_without_a_wait_it_stays(rig):
    check_waits(rig.both([rig.host, "waits", rig.url(), "nothing"]), ends=False)


@pytest.mark.parametrize("way", ["poll", "ppoll"])
def test_fortified_waits(rig, built, way):
    check_waits(rig.both([built["fortified"], "waits", rig.url(), way]), ends=True)


@pytest.mark.parametrize("mode", ["pool", "pool_c11"])
def test_pool_made_in_a_request(rig, mode):
    """It waits when the first request ends, and wakes for the second."""
    ran = rig.both([rig.host, mode, rig.url()])
    assert ran.named("first").is_child_of(ran.named("request-1"))
    assert ran.named("second").parent_id == ""


def test_fire_and_forget(rig):
    ran = rig.both([rig.host, "forgotten", rig.url()])
    for mark in ("late", "later"):  # libcurl's own waits are part of the work
        assert ran.named(mark).is_child_of(ran.named("request"))
        assert ran.named(mark).start > ran.named("request").end


def test_nested_threads(rig):
    ran = rig.both([rig.host, "nested", rig.url()])
    request = ran.named("request")
    assert ran.named("in-child").is_child_of(request)
    assert ran.named("child").is_child_of(request)
    assert ran.named("grandchild").is_child_of(ran.named("in-child"))
    assert ran.named("c11").is_child_of(request)
    assert ran.named("outside").parent_id == ""


def test_detached_thread_outlives_its_creator(rig):
    ran = rig.both([rig.host, "outlives", rig.url()])
    assert ran.named("outlives").is_child_of(ran.named("request"))


def test_a_thread_that_does_not_come_about(rig):
    ran = rig.both([rig.host, "fails", rig.url()])
    assert ran.out.splitlines()[:3] == ["11"] * 3
    assert ran.named("after").is_child_of(ran.named("request"))


def test_thread_made_in_a_transfer(rig):
    ran = rig.both([rig.host, "of_transfer", rig.url()])
    assert ran.named("of-callback").is_child_of(ran.named("transfer"))


def test_family_switched_off(rig):
    ran = rig.both([rig.host, "nested", rig.url()], OTELSHIM_INSTRUMENTATIONS="-thread")
    assert ran.named("child").parent_id == ran.named("c11").parent_id == ""


@pytest.mark.parametrize("mode", ["fails", "nested", "pool"])
def test_memory(rig, mode):
    """Nothing of ours is lost, also when no thread comes about."""
    valgrind = shutil.which("valgrind")
    assert valgrind, "valgrind is not installed"
    log = rig.place / "valgrind.log"
    ran = rig.run([valgrind, "--leak-check=full", "--show-leak-kinds=definite", f"--log-file={log}", rig.host, mode,
                   rig.url()])
    assert ran.code == 0, ran.err
    text = log.read_text()
    ours = [block for block in re.split(r"\n==\d+== \n", text) if "libotelshim" in block and " at 0x" in block]
    assert ours == [], text
    assert ran.spans
