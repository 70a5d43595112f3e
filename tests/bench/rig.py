"""The benchmark's rig: servers that tell their port, runs pinned to a CPU, and the arithmetic of
interleaved runs. Knows nothing of what is measured."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

CLIENT_CPU, OTHER_CPU = 0, 1


class Failed(Exception):
    """A run did not end as it must; no figure can be given."""


class Server:
    """A server of ours in its own process, on a free port that it prints as its first line."""

    def __init__(self, program, cpu=None):
        self.process = subprocess.Popen(
            [program],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=pin(cpu),
            env=base_environment(),
        )
        words = self.process.stdout.readline().split()
        if words[:1] != ["port"]:
            self.process.wait()
            raise Failed(f"{program} did not start")
        self.port = int(words[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def stats(self):
        with urllib.request.urlopen(self.url("/stats"), timeout=10) as answer:
            return json.load(answer)


class TlsFront:
    """nginx that takes https on a free port and passes requests on to a plain port."""

    def __init__(self, plain_port, cpu=None):
        self.folder = tempfile.mkdtemp(prefix="otelshim-bench-")
        self.port = free_port()
        self.certificate = os.path.join(self.folder, "cert.pem")
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
                "-keyout",
                os.path.join(self.folder, "key.pem"),
                "-out",
                self.certificate,
            ],
            check=True,
            capture_output=True,
        )
        configuration = os.path.join(self.folder, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(NGINX.format(folder=self.folder, port=self.port, plain_port=plain_port))
        self.process = subprocess.Popen(
            ["nginx", "-e", "stderr", "-p", self.folder, "-c", configuration], preexec_fn=pin(cpu)
        )
        wait_for_port(self.port, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def url(self, path=""):
        return f"https://127.0.0.1:{self.port}{path}"


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 64m;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream plain {{ server 127.0.0.1:{plain_port}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        keepalive_requests 1000000;
        location / {{ proxy_pass http://plain; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=10):
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise Failed(f"nothing listens on port {port}")


def pin(cpu):
    """What a child runs to stay on one CPU, or None."""
    if cpu is None:
        return None
    return lambda: os.sched_setaffinity(0, {cpu})


def base_environment():
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "OTELSHIM_", "LD_PRELOAD"))
    }


def run(command, environment=None, cpu=None):
    """Runs a program to its end. Its "name value" lines, and process_us: user and system time of all its
    threads from start to end, so what is exported at exit is counted too."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        env={**base_environment(), **(environment or {})},
        text=True,
        preexec_fn=pin(cpu),
    )
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}")
    values = {}
    for line in output.splitlines():
        name, value = line.split()
        values[name] = float(value)
    values["process_us"] = (usage.ru_utime + usage.ru_stime) * 1e6
    return values


def interleave(variants, rounds, progress):
    """Runs every variant (name -> function) once per round, first one moving on; name -> list of results."""
    results = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            progress(f"round {number + 1} of {rounds}: {name}")
            results[name].append(variants[name]())
    return results


def median_of(results, value):
    return statistics.median(value(result) for result in results)


def median_pair(results, others, value):
    """The median over rounds of value(result, other of the same round)."""
    return statistics.median(value(a, b) for a, b in zip(results, others))
