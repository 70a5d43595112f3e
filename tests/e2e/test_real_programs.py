"""Programs from Debian packages under the shim: the same output, exit code and requests as bare, and exactly the
expected spans. Nothing here was written for tracing."""

import hashlib
import os
import re
import subprocess
import textwrap

import expect
import origin as origins
import pytest
import receiver as receivers

PYTHON = "/usr/bin/python3"  # Debian's: python3-pycurl belongs to it
CURL = ["curl", "-sS"]

PARENT = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def without_times(output):
    """curl's messages tell how long it took."""
    return re.sub(rb"after \d+ (ms|milliseconds)", b"after N ms", output)


def remove(path):
    if os.path.exists(path):
        os.unlink(path)


def one_span(traced_result):
    _, spans, requests = traced_result
    assert len(spans) == 1, spans
    expect.carried(spans, requests)
    return spans[0]


# curl ---------------------------------------------------------------------------------------------------


def test_curl_http(traced, origin):
    url = origin.url("/text?a=b&c=d")
    result = traced([*CURL, url])
    span = one_span(result)
    assert result[0].stdout == b"a line of text\n"
    expect.client_span(span, "GET", url, 200, port=origin.port)
    expect.resource(span, "curl")


def test_curl_https_1_1(traced, origin, nginx):
    url = nginx.url("/text")
    span = one_span(traced([*CURL, "--http1.1", "--cacert", nginx.ca, url]))
    expect.client_span(span, "GET", url, 200, port=nginx.port)


def test_curl_http_2(traced, origin, nginx):
    url = nginx.url("/bytes/100000")
    result = traced([*CURL, "-w", "%{http_version}", "-o", "body", "--cacert", nginx.ca, url])
    assert result[0].stdout == b"2"
    expect.client_span(one_span(result), "GET", url, 200, port=nginx.port, version="2")


def test_curl_parallel(traced, origin, host):
    paths = ["/text", "/bytes/70000", "/status/404", "/chunked/9", "/redirect/1/text", "/bytes/1"]
    command = [*CURL, "-Z", "--no-progress-meter", "--parallel-immediate", "-L"]
    for number, path in enumerate(paths):
        command += ["-o", f"out{number}", origin.url(path)]
    _, spans, requests = traced(command)
    assert len(spans) == len(paths), spans
    expect.carried(spans, requests)
    assert len({span.trace_id for span in spans}) == len(paths), "each is the root of its own trace"
    by_url = {span.attributes["url.full"]: span for span in spans}
    for path in paths:
        expect.client_span(by_url[origin.url(path)], "GET", origin.url(path),
                           404 if "404" in path else 200, port=origin.port,
                           resend=1 if "redirect" in path else None)
    with open(os.path.join(host.home, "out1"), "rb") as file:
        assert len(file.read()) == 70000


def test_curl_parallel_multiplexed(traced, origin, nginx):
    urls = [nginx.url(f"/bytes/{size}") for size in (10, 20000, 30, 40000, 50)]
    command = [*CURL, "-Z", "--no-progress-meter", "--cacert", nginx.ca]
    for number, url in enumerate(urls):
        command += ["-o", f"out{number}", url]
    _, spans, requests = traced(command)
    assert sorted(span.attributes["url.full"] for span in spans) == sorted(urls)
    expect.carried(spans, requests)
    for span in spans:
        expect.client_span(span, "GET", span.attributes["url.full"], 200, port=nginx.port, version="2")


def test_curl_several_on_one_connection(traced, origin):
    urls = [origin.url(f"/bytes/{size}") for size in (1, 2, 3)]
    _, spans, requests = traced([*CURL, *urls])
    assert [span.attributes["url.full"] for span in spans] == urls
    assert expect.carried(spans, requests) == spans
    assert len({request.peer for request in requests}) == 1, "kept alive"


def test_curl_redirects(traced, origin):
    url = origin.url("/redirect/2/text")
    result = traced([*CURL, "-L", "-w", "%{num_redirects} %{url_effective}", url])
    assert len(result[2]) == 3
    expect.client_span(one_span(result), "GET", url, 200, port=origin.port, resend=2)


def test_curl_redirect_not_followed(traced, origin):
    url = origin.url("/redirect/1/text")
    expect.client_span(one_span(traced([*CURL, url])), "GET", url, 302, port=origin.port)


def test_curl_redirect_to_another_name(traced, origin):
    url = origin.url("/elsewhere/text")
    result = traced([*CURL, "-4", "-L", url])
    assert [dict(r.headers)["host"].split(":")[0] for r in result[2]] == ["127.0.0.1", "localhost"]
    expect.client_span(one_span(result), "GET", url, 200, port=origin.port, resend=1)


def test_curl_redirect_to_another_name_not_allowed(traced, origin):
    """OTELSHIM_PROPAGATE_TO holds for every hop."""
    url = origin.url("/elsewhere/text")
    _, spans, requests = traced([*CURL, "-4", "-L", url], env={"OTELSHIM_PROPAGATE_TO": "127.0.0.1"})
    assert len(spans) == 1
    assert [request.traceparent for request in requests] == [spans[0].traceparent, None]


def test_curl_propagates_only_where_allowed(traced, origin):
    _, spans, requests = traced([*CURL, origin.url("/text")],
                                env={"OTELSHIM_PROPAGATE_TO": "*.internal,10.0.0.0/8"})
    assert len(spans) == 1 and requests[0].traceparent is None


@pytest.mark.parametrize("method, options", [
    ("HEAD", ["-I"]),
    ("POST", ["-d", "a=b"]),
    ("POST", ["--json", "{}"]),
    ("DELETE", ["-X", "DELETE"]),
    ("PATCH", ["-X", "PATCH", "--data-binary", "@/etc/hostname"]),
])
def test_curl_methods(traced, origin, method, options):
    url = origin.url("/upload")
    result = traced([*CURL, "-o", "body", *options, url])
    assert [request.method for request in result[2]] == [method]
    expect.client_span(one_span(result), method, url, 201, port=origin.port)


def test_curl_unknown_method(traced, origin):
    span = one_span(traced([*CURL, "-X", "PURGE", origin.url("/text")]))
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PURGE"


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_curl_upload(traced, origin, host, source):
    content = os.urandom(1 << 20)
    with open(os.path.join(host.home, "data"), "wb") as file:
        file.write(content)
    url = origin.url("/upload")
    name, stdin = ("data", b"") if source == "file" else ("-", content)
    result = traced([*CURL, "-T", name, url], stdin=stdin)
    assert result[0].stdout == b"received 1048576 bytes\n"
    assert result[2][0].body == content
    expect.client_span(one_span(result), "PUT", url, 201, port=origin.port)


@pytest.mark.parametrize("status", [204, 404, 500])
@pytest.mark.parametrize("options", [[], ["-f"]])
def test_curl_status(traced, origin, status, options):
    url = origin.url(f"/status/{status}")
    result = traced([*CURL, *options, url])
    assert result[0].code == (22 if options and status >= 400 else 0)
    expect.client_span(one_span(result), "GET", url, status, port=origin.port)


def test_curl_large_body(traced, origin, host):
    url = origin.url("/bytes/20000000")
    span = one_span(traced([*CURL, "-o", "body", url]))
    with open(os.path.join(host.home, "body"), "rb") as file:
        digest = hashlib.sha256(file.read()).digest()
    assert digest == hashlib.sha256(b"0123456789abcdef" * 1250000).digest()
    expect.client_span(span, "GET", url, 200, port=origin.port)


def test_curl_refused(traced, origin, closing):
    refused = receivers.Refused()
    closing.append(refused)
    url = f"http://127.0.0.1:{refused.port}/x"
    result, spans, _ = traced([*CURL, url], normalise=without_times)
    assert result.code == 7
    assert len(spans) == 1
    expect.client_span(spans[0], "GET", url, None, "CURLE_COULDNT_CONNECT", port=refused.port)


def test_curl_name_not_found(traced, origin):
    url = "http://something.onion/x"  # libcurl itself knows that such a name has no address
    result, spans, _ = traced([*CURL, url])
    assert result.code == 6
    assert len(spans) == 1
    expect.client_span(spans[0], "GET", url, None, "CURLE_COULDNT_RESOLVE_HOST",
                       address="something.onion", port=80)


def test_curl_timeout(host, origin, receiver):
    url = origin.url("/hang")
    result = host.same([*CURL, "-m", "0.5", url], normalise=without_times)
    assert result.code == 28
    origin.wait_for(2)
    spans = receiver.drain()
    assert len(spans) == 1
    assert origin.take()[1].traceparent == spans[0].traceparent
    expect.client_span(spans[0], "GET", url, None, "CURLE_OPERATION_TIMEDOUT", port=origin.port)
    assert spans[0].end - spans[0].start >= 400_000_000


@pytest.mark.parametrize("path, code, status, error", [
    ("/close", 52, None, "CURLE_GOT_NOTHING"),
    ("/short", 18, 200, "CURLE_PARTIAL_FILE"),
])
def test_curl_connection_ends_early(traced, origin, path, code, status, error):
    url = origin.url(path)
    result = traced([*CURL, url])
    assert result[0].code == code
    expect.client_span(one_span(result), "GET", url, status, error, port=origin.port)


def test_curl_certificate_not_trusted(traced, origin, nginx):
    url = nginx.url("/text")
    result, spans, requests = traced([*CURL, url])
    assert (result.code, requests) == (60, [])
    assert len(spans) == 1
    expect.client_span(spans[0], "GET", url, None, "CURLE_PEER_FAILED_VERIFICATION", port=nginx.port)


def test_curl_own_traceparent(shimmed, origin):
    """The application's own header stays, alone, and our span becomes a child of what it names."""
    own = f"00-{PARENT[0]}-{PARENT[1]}-01"
    url = origin.url("/text")
    result, spans, requests = shimmed([*CURL, "-H", f"Traceparent: {own}", url])
    assert (result.code, result.stderr, result.stdout) == (0, b"", b"a line of text\n")
    assert requests[0].all("traceparent") == [own]
    assert len(spans) == 1
    expect.client_span(spans[0], "GET", url, 200, port=origin.port, parent=PARENT)


def test_curl_own_headers_stay(traced, origin):
    url = origin.url("/text")
    result = traced([*CURL, "-H", "X-One: 1", "-H", "Accept:", "-H", "X-Empty;", "-A", "me", url])
    headers = dict(result[2][0].headers)
    assert (headers["x-one"], headers["x-empty"], headers["user-agent"]) == ("1", "", "me")
    assert "accept" not in headers
    expect.client_span(one_span(result), "GET", url, 200, port=origin.port)


def test_curl_through_a_proxy(traced, origin):
    """An http proxy gets the whole URL; the span is about the server that was meant."""
    url = "http://example.test/text"
    result = traced([*CURL, "-x", origin.url(""), url])
    assert result[2][0].path == url
    expect.client_span(one_span(result), "GET", url, 404, address="example.test", port=80,
                       peer_port=origin.port)


def test_curl_password_in_url(traced, origin):
    url = f"http://user:secret@127.0.0.1:{origin.port}/text?Signature=abc&x=1"
    span = one_span(traced([*CURL, url]))
    expect.client_span(span, "GET", "http://REDACTED:REDACTED@127.0.0.1:"
                       f"{origin.port}/text?Signature=REDACTED&x=1", 200, port=origin.port)
    assert "secret" not in str(span.message) and "abc" not in str(span.message)


def test_curl_without_scheme(traced, origin):
    span = one_span(traced([*CURL, f"127.0.0.1:{origin.port}/text"]))
    expect.client_span(span, "GET", origin.url("/text"), 200, port=origin.port)


def test_curl_not_utf8(traced, origin):
    """One invalid byte in one string makes receivers reject a whole request."""
    url = origin.url("/text?name=").encode() + b"caf\xe9"
    result = traced([*[part.encode() for part in CURL], url])
    assert one_span(result).attributes["url.full"] == origin.url("/text?name=caf?")


@pytest.mark.parametrize("named", ["ftp://127.0.0.1", "ftp.localhost"])
def test_curl_ftp_is_left_alone(host, receiver, closing, named):
    ftp = origins.Ftp(b"from the ftp server\n")
    closing.append(ftp)
    result = host.same([*CURL, f"{named}:{ftp.port}/file"])
    assert result.stdout == b"from the ftp server\n"
    assert receiver.drain() == [] and receiver.connections == 0
    half = len(ftp.commands) // 2
    assert half >= 4 and ftp.commands[:half] == ftp.commands[half:]


def test_curl_file_is_left_alone(host, receiver):
    result = host.same([*CURL, "file:///etc/debian_version"])
    assert result.code == 0 and result.stdout
    assert receiver.drain() == [] and receiver.connections == 0


# git: libcurl-gnutls, multi interface, in a child process ------------------------------------------------


@pytest.fixture
def repository(tmp_path, origin):
    """A bare repository behind the origin's /git/, with 200 files."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "n", f"GIT_{who}_EMAIL": "e@localhost",
                        f"GIT_{who}_DATE": "2026-01-01T00:00:00Z"}

    def git(*arguments, cwd):
        subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, timeout=60,
                       capture_output=True)

    work, root = tmp_path / "work", tmp_path / "repositories"
    work.mkdir()
    root.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    for number in range(200):
        (work / f"file{number}").write_text(f"content {number}\n" * 50)
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("clone", "-q", "--bare", str(work), "r.git", cwd=root)
    git("config", "http.receivepack", "true", cwd=root / "r.git")
    origin.git_root = str(root)
    return root / "r.git"


def git_spans(result, server, base):
    """One span for each request, attributes as the origin saw them."""
    outcome, spans, requests = result
    assert outcome.code == 0, outcome
    ordered = expect.carried(spans, requests)
    assert len(spans) == len(requests)
    for span, request in zip(ordered, requests):
        version = "2" if base.startswith("https") else "1.1"
        expect.client_span(span, request.method, base + request.path[len("/git/r.git"):],
                           200, port=server.port, version=version)
        assert span.resource["process.executable.name"] == "git-remote-http"
    return ordered


def test_git_ls_remote(traced, origin, repository):
    base = origin.url("/git/r.git")
    result = traced(["git", "ls-remote", base])
    assert b"refs/heads/main" in result[0].stdout
    assert [s.name for s in git_spans(result, origin, base)] == ["GET", "POST"]


def test_git_clone(traced, origin, host, repository):
    base = origin.url("/git/r.git")
    result = traced(["git", "clone", base, "copy"],
                    before=lambda: subprocess.run(["rm", "-rf", host.home + "/copy"], check=True))
    assert [s.name for s in git_spans(result, origin, base)] == ["GET", "POST", "POST"]
    assert len(os.listdir(host.home + "/copy")) == 201
    status = host.run(["git", "-C", "copy", "fsck", "--full"], preload=False)
    assert status.code == 0, status


def test_git_clone_https(traced, origin, nginx, host, repository):
    base = nginx.url("/git/r.git")
    result = traced(["git", "-c", f"http.sslCAInfo={nginx.ca}", "clone", base, "copy"],
                    before=lambda: subprocess.run(["rm", "-rf", host.home + "/copy"], check=True))
    assert len(git_spans(result, nginx, base)) == 3


def test_git_push(shimmed, origin, host, repository):
    base = origin.url("/git/r.git")
    assert host.run(["git", "clone", "-q", base, "copy"], preload=False).code == 0
    origin.take()
    script = ("cd copy && echo more > more && git add more && git -c user.name=n -c user.email=e@localhost "
              "commit -q -m second && git push -q origin main")
    result = shimmed(["sh", "-e", "-c", script])
    assert (result[0].stdout, result[0].stderr) == (b"", b"")
    assert [s.name for s in git_spans(result, origin, base)] == ["GET", "POST"]
    heads = subprocess.run(["git", "-c", "safe.directory=*", "log", "--format=%s", "main"], check=True,
                           cwd=repository, capture_output=True).stdout
    assert heads == b"second\nfirst\n"


def test_git_repository_missing(traced, origin):
    base = origin.url("/git/none.git")
    result = traced(["git", "ls-remote", base])
    assert result[0].code == 128
    expect.client_span(one_span(result), "GET", base + "/info/refs?service=git-upload-pack", 404,
                       port=origin.port)


# cmake --------------------------------------------------------------------------------------------------


def test_cmake_download_and_upload(traced, origin, host):
    script = os.path.join(host.home, "transfer.cmake")
    with open(script, "w", encoding="utf-8") as file:
        file.write(textwrap.dedent(f"""
            file(DOWNLOAD {origin.url("/bytes/5000")} there STATUS status EXPECTED_HASH
                 SHA256={hashlib.sha256((b"0123456789abcdef" * 313)[:5000]).hexdigest()})
            message("${{status}}")
            file(UPLOAD there {origin.url("/upload")} STATUS status LOG log)
            message("${{status}}")
            file(DOWNLOAD {origin.url("/status/404")} gone STATUS status)
            message("${{status}}")
            """))
    result, spans, requests = traced(["cmake", "-P", script],
                                     before=lambda: remove(host.home + "/there"))
    assert result.code == 0 and b'0;"No error"' in result.stderr
    assert expect.carried(spans, requests) == spans and len(spans) == 3
    expect.client_span(spans[0], "GET", origin.url("/bytes/5000"), 200, port=origin.port)
    expect.client_span(spans[1], "PUT", origin.url("/upload"), 201, port=origin.port)
    expect.client_span(spans[2], "GET", origin.url("/status/404"), 404, port=origin.port)
    expect.resource(spans[0], "cmake")


# python: pycurl (libcurl-gnutls in an RTLD_LOCAL extension) and ctypes -----------------------------------


def python(traced, source, *arguments, **options):
    return traced([PYTHON, "-c", textwrap.dedent(source), *arguments], **options)


def test_pycurl_easy(traced, origin):
    urls = [origin.url("/text"), origin.url("/status/503"), origin.url("/bytes/3")]
    result, spans, requests = python(traced, """
        import io, pycurl, sys
        curl = pycurl.Curl()
        for url in sys.argv[1:]:
            body = io.BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.HTTPHEADER, ["X-Url-Length: %d" % len(url)])
            curl.setopt(pycurl.WRITEDATA, body)
            curl.perform()
            print(curl.getinfo(pycurl.RESPONSE_CODE), body.getvalue())
        curl.reset()
        curl.setopt(pycurl.URL, sys.argv[1])
        curl.setopt(pycurl.NOBODY, True)
        curl.perform()
        curl.close()
        """, *urls)
    assert result.code == 0 and result.stdout.startswith(b"200 b'a line of text\\n'\n503 ")
    assert expect.carried(spans, requests) == spans and len(spans) == 4
    for span, url, status in zip(spans, urls, (200, 503, 200)):
        expect.client_span(span, "GET", url, status, port=origin.port)
    expect.client_span(spans[3], "HEAD", urls[0], 200, port=origin.port)
    assert "x-url-length" not in dict(requests[3].headers)
    expect.resource(spans[0], os.path.basename(os.path.realpath(PYTHON)))


def test_pycurl_multi(traced, origin, closing):
    refused = receivers.Refused()
    closing.append(refused)
    urls = [origin.url(f"/bytes/{n}") for n in range(1, 6)] + [f"http://127.0.0.1:{refused.port}/x"]
    result, spans, requests = python(traced, """
        import io, pycurl, sys
        multi, handles = pycurl.CurlMulti(), []
        for url in sys.argv[1:]:
            curl = pycurl.Curl()
            curl.body = io.BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.WRITEDATA, curl.body)
            handles.append(curl)
            multi.add_handle(curl)
        done, failed, running = 0, [], len(handles)
        while done < len(handles):
            while multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
                pass
            left = 1
            while left:
                left, good, bad = multi.info_read()
                done += len(good) + len(bad)
                failed += [code for _, code, _ in bad]
            if done < len(handles):
                multi.select(1.0)
        for curl in handles:
            multi.remove_handle(curl)
            print(curl.getinfo(pycurl.RESPONSE_CODE), curl.body.getvalue())
            curl.close()
        multi.close()
        print(failed)
        """, *urls)
    assert result.code == 0 and result.stdout.endswith(b"0 b''\n[7]\n"), result
    by_url = {span.attributes["url.full"]: span for span in spans}
    assert sorted(by_url) == sorted(urls) and len(spans) == len(urls)
    for url in urls[:-1]:
        expect.client_span(by_url[url], "GET", url, 200, port=origin.port)
    failed = by_url[urls[-1]]
    expect.client_span(failed, "GET", urls[-1], None, "CURLE_COULDNT_CONNECT", port=refused.port)
    expect.carried([span for span in spans if span is not failed], requests)


def test_ctypes_two_flavours_in_one_process(traced, origin):
    urls = [origin.url("/text?openssl"), origin.url("/text?gnutls")]
    result, spans, requests = python(traced, """
        import ctypes, sys
        URL, WRITEFUNCTION = 10002, 20011
        sink = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t,
                                ctypes.c_void_p)(lambda data, size, n, user: size * n)
        opened = []
        for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
            lib = ctypes.CDLL(name)
            lib.curl_easy_init.restype = ctypes.c_void_p
            lib.curl_version.restype = ctypes.c_char_p
            print(b"OpenSSL" in lib.curl_version(), b"GnuTLS" in lib.curl_version())
            opened.append((lib, ctypes.c_void_p(lib.curl_easy_init())))
        for turn in range(3):
            for (lib, easy), url in zip(opened, sys.argv[1:]):
                lib.curl_easy_setopt(easy, URL, url.encode())
                lib.curl_easy_setopt(easy, WRITEFUNCTION, sink)
                print(lib.curl_easy_perform(easy))
        for lib, easy in opened:
            lib.curl_easy_cleanup(easy)
        """, *urls)
    assert result.code == 0
    assert result.stdout == b"True False\nFalse True\n" + b"0\n" * 6, result
    assert expect.carried(spans, requests) == spans
    assert [span.attributes["url.full"] for span in spans] == urls * 3
    for span in spans:
        expect.client_span(span, "GET", span.attributes["url.full"], 200, port=origin.port)


# perl: WWW::Curl, another RTLD_LOCAL extension -----------------------------------------------------------


def test_perl_www_curl(traced, origin):
    url = origin.url("/text")
    result, spans, requests = traced(["perl", "-e", textwrap.dedent("""
        use WWW::Curl::Easy;
        my $curl = WWW::Curl::Easy->new;
        my $body = "";
        open(my $file, ">", \\$body);
        $curl->setopt(CURLOPT_URL, $ARGV[0]);
        $curl->setopt(CURLOPT_HTTPHEADER, ["X-Perl: yes"]);
        $curl->setopt(CURLOPT_WRITEDATA, $file);
        print $curl->perform, " ", $curl->getinfo(CURLINFO_HTTP_CODE), " $body";
        """).replace("\\\\", "\\"), url])
    assert (result.code, result.stdout) == (0, b"0 200 a line of text\n"), result
    assert expect.carried(spans, requests) == spans and len(spans) == 1
    assert dict(requests[0].headers)["x-perl"] == "yes"
    expect.client_span(spans[0], "GET", url, 200, port=origin.port)


# htslib: its http plugin moves one handle in and out of a multi handle, and gives transfers up half-way -----


def test_samtools_remote_region(traced, origin, host):
    reads = "".join(f"r{n}\t0\tchr{1 + n // 20000}\t{n % 20000 * 10 + 1}\t60\t32M\t*\t0\t0\t"
                    f"{'ACGT' * 8}\t{hashlib.md5(b'%d' % n).hexdigest()}\n" for n in range(60000))
    header = "@HD\tVN:1.6\tSO:coordinate\n" + "".join(f"@SQ\tSN:chr{n}\tLN:300000\n" for n in (1, 2, 3))
    for command, stdin in ((["samtools", "view", "-b", "-o", "r.bam"], (header + reads).encode()),
                           (["samtools", "index", "r.bam"], b"")):
        outcome = host.run(command, preload=False, stdin=stdin)
        assert outcome.code == 0, outcome
    for name in ("r.bam", "r.bam.bai"):
        with open(f"{host.home}/{name}", "rb") as file:
            origin.files[f"/hts/{name}"] = file.read()
        os.unlink(f"{host.home}/{name}")

    result, spans, requests = traced(
        ["samtools", "view", origin.url("/hts/r.bam"), "chr3:150001-150100", "chr1:1-20"],
        before=lambda: remove(host.home + "/r.bam.bai"))
    assert result.code == 0 and len(result.stdout.splitlines()) >= 12, result
    assert len(requests) >= 3
    assert len(spans) == len(requests)
    for span, request in zip(expect.carried(spans, requests), requests):
        assert (span.kind, span.name) == ("CLIENT", request.method)
        assert span.attributes["url.full"] == origin.url(request.path)
        assert span.attributes["server.port"] == origin.port
        assert span.parent_id == ""
    assert {span.attributes.get("http.response.status_code") for span in spans} >= {206}


# elfutils: several servers asked at once, the first answer wins and the rest is given up ------------------


def test_debuginfod_find(host, origin, receiver, tmp_path):
    build_id = "0123456789abcdef0123456789abcdef01234567"
    origin.files[f"/has/buildid/{build_id}/debuginfo"] = b"\x7fELF" + b"\0" * 5000
    environment = {"DEBUGINFOD_URLS": f"{origin.url('/none')} {origin.url('/has')} {origin.url('/hang')}",
                   "DEBUGINFOD_CACHE_PATH": host.home + "/cache"}
    result = host.same(["debuginfod-find", "debuginfo", build_id], env=environment,
                       before=lambda: subprocess.run(["rm", "-rf", host.home + "/cache"], check=True))
    assert result.code == 0 and build_id.encode() in result.stdout
    spans = receiver.drain()
    by_path = {span.attributes["url.full"][len(origin.url("")):].split("/")[1]: span for span in spans}
    assert sorted(by_path) == ["hang", "has", "none"] and len(spans) == 3, spans
    expect.client_span(by_path["has"], "GET", origin.url(f"/has/buildid/{build_id}/debuginfo"), 200,
                       port=origin.port)
    assert "http.response.status_code" not in by_path["hang"].attributes
    sent = {request.traceparent for request in origin.take()} - {None}
    assert by_path["has"].traceparent in sent
    assert sent <= {span.traceparent for span in spans}


# programs that make no span ------------------------------------------------------------------------------


def test_program_without_spans_is_left_as_it_was(host, receiver):
    """No thread, no descriptor, no library but our own, no word on stderr."""
    result = host.same([PYTHON, "-c", textwrap.dedent("""
        import os, re
        print(len(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd")))
        names = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
        print(sorted(name for name in names if "libotelshim.so" not in name))
        """)])
    assert result.code == 0 and b"otelshim" not in result.stdout
    assert receiver.drain() == [] and receiver.connections == 0


@pytest.mark.parametrize("command", [
    ["true"], ["false"], ["sh", "-c", "kill -9 $$"], ["ls", "/"], ["git", "--version"], ["curl", "--version"],
    ["bash", "-c", "echo a | tr a b; (exit 3)"], ["perl", "-e", "print 1; exit 7"], ["cmake", "--version"],
])
def test_ordinary_commands(host, receiver, command):
    host.same(command)
    assert receiver.drain() == [] and receiver.connections == 0
