"""What is measured, one function per paragraph of the cost target. Each returns rows for the report:
(what, bare, with otelshim, difference, aim). Nothing is asserted here: the figures are for reading.
"""

import glob
import os
import re
import tempfile

from rig import (
    CLIENT_CPU,
    OTHER_CPU,
    Failed,
    Server,
    TlsFront,
    interleave,
    median_of,
    median_pair,
    run,
)

DASH = "–"


class Bench:
    """What every section needs: programs, the library, and how long to measure."""

    def __init__(self, build, quick, progress):
        self.library = os.path.join(build, "src", "libotelshim.so")
        self.programs = os.path.join(build, "tests", "bench")
        self.rounds = 3 if quick else 15
        self.requests = 10000 if quick else 40000
        self.scale = 1 if quick else 5
        self.progress = progress

    def program(self, name):
        return os.path.join(self.programs, f"bench-{name}")

    def origin(self, cpu=CLIENT_CPU):
        return Server(self.program("origin"), cpu)

    def collector(self, cpu=OTHER_CPU):
        return Server(self.program("collector"), cpu)

    def traced(self, endpoint, **settings):
        """The environment of a traced program; settings are further variables."""
        return {
            "LD_PRELOAD": self.library,
            "OTEL_SERVICE_NAME": "bench",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            **settings,
        }

    def get(self, url, environment=None, options=(), cpu=CLIENT_CPU, threads=1):
        command = [
            self.program("curl-get"),
            "-t",
            str(threads),
            "-n",
            str(self.requests),
            "-w",
            "200",
        ]
        return run([*command, *options, url], environment, cpu)


def cpu_per_request(result):
    return result["process_us"] / result["requests"]


def wall_per_request(result):
    return result["wall_us"] / result["measured"]


def cpu_added(result, bare):
    return cpu_per_request(result) - cpu_per_request(bare)


def rate_ratio(result, bare):
    return wall_per_request(bare) / wall_per_request(result)


def us(value):
    return f"{value:.2f} µs"


def keep_alive_get(bench):
    """CPU and rate of a GET by hand, traced, not sampled, and traced to an https collector."""
    with bench.origin() as origin, bench.collector() as collector, bench.collector() as behind:
        with TlsFront(behind.port, OTHER_CPU) as front:
            url = origin.url("/")
            plain = bench.traced(collector.url())
            off = bench.traced(collector.url(), OTEL_TRACES_SAMPLER="always_off")
            tls = bench.traced(front.url(), OTEL_EXPORTER_OTLP_CERTIFICATE=front.certificate)
            variants = {
                "bare": lambda: bench.get(url),
                "by hand": lambda: bench.get(url, options=["-p"]),
                "traced": lambda: bench.get(url, plain),
                "not sampled": lambda: bench.get(url, off),
                "traced, https": lambda: bench.get(url, tls),
            }
            results = interleave(variants, bench.rounds, bench.progress)
            arrived = {"traced": collector.stats(), "traced, https": behind.stats()}
    return get_rows(results) + [
        arrival_row(f"spans of these runs that arrived: {name}", results[name], arrived[name])
        for name in arrived
    ]


def arrival_row(label, results, stats):
    """Spans that came against requests that were made; also what must not be there."""
    made = sum(result["requests"] for result in results)
    wrong = f", {stats['malformed']} requests unreadable" if stats["malformed"] else ""
    missing = made - stats["spans"]
    verdict = f"{missing:,.0f} lost" if missing >= 0 else f"{-missing:,.0f} too many"
    return (label, DASH, f"{stats['spans']:,} of {made:,.0f}", verdict + wrong, "0 lost")


def get_rows(results):
    bare = results["bare"]
    floor = median_pair(results["by hand"], bare, cpu_added)
    labels = (
        ("by hand", "keep-alive GET with one header made by hand, no otelshim", "the floor"),
        ("traced", "keep-alive GET, every request sampled and exported", "≤ +1.60 µs"),
        (
            "not sampled",
            "keep-alive GET, `OTEL_TRACES_SAMPLER=always_off`",
            f"≤ +{floor + 0.1:.2f} µs",
        ),
        ("traced, https", "keep-alive GET, collector behind https", "stated"),
    )
    rows = []
    for name, label, aim in labels:
        rows.append(
            (
                f"{label}: CPU of all threads",
                us(median_of(bare, cpu_per_request)),
                us(median_of(results[name], cpu_per_request)),
                f"{median_pair(results[name], bare, cpu_added):+.2f} µs",
                aim,
            )
        )
    for name, label, aim in labels:
        rows.append(
            (
                f"{label}: rate on one CPU",
                f"{1e6 / median_of(bare, wall_per_request):,.0f}/s",
                f"{1e6 / median_of(results[name], wall_per_request):,.0f}/s",
                f"× {median_pair(results[name], bare, rate_ratio):.3f}",
                "≥ × 0.92" if name == "traced" else aim if "≤" not in aim else "the floor",
            )
        )
    for name, label, aim in (
        ("traced", "resident memory at work", "≤ +2.5 MB"),
        ("traced, https", "resident memory at work, https", "stated"),
    ):
        before = median_of(bare, lambda r: r["rss_kb"] / 1024)
        after = median_of(results[name], lambda r: r["rss_kb"] / 1024)
        rows.append(
            (label, f"{before:.1f} MB", f"{after:.1f} MB", f"{after - before:+.1f} MB", aim)
        )
    return rows


def instructions(bench):
    """User instructions per request by callgrind: two request counts, their difference divided."""
    few, many = 500, 500 + 2500 * bench.scale
    rows = []
    with bench.origin() as origin, bench.collector() as collector:
        counted = {}
        for name, environment, options in (
            ("bare", {}, []),
            ("by hand", {}, ["-p"]),
            ("traced", bench.traced(collector.url()), []),
        ):
            totals = []
            for requests in (few, many):
                bench.progress(f"callgrind: {name}, {requests} requests")
                totals.append(callgrind(bench, environment, options, requests, origin.url("/")))
            counted[name] = [(b - a) / (many - few) for a, b in zip(*totals)]
    bare = counted["bare"]
    for name, label, aim in (
        ("by hand", "one header by hand, no otelshim", "the floor"),
        ("traced", "all threads", "≤ +11,000"),
        ("traced", "the host's thread alone", DASH),
    ):
        which = 1 if label.startswith("the host") else 0
        rows.append(
            (
                f"user instructions per GET: {label}",
                f"{bare[which]:,.0f}",
                f"{counted[name][which]:,.0f}",
                f"{counted[name][which] - bare[which]:+,.0f}",
                aim,
            )
        )
    return rows


def callgrind(bench, environment, options, requests, url):
    """Instructions of all threads, and of the first."""
    with tempfile.TemporaryDirectory(prefix="otelshim-bench-") as folder:
        command = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            "--separate-threads=yes",
            "--fair-sched=try",
            f"--callgrind-out-file={folder}/out",
            bench.program("curl-get"),
            "-n",
            str(requests),
        ]
        run([*command, *options, url], environment)
        threads = {}
        for path in glob.glob(f"{folder}/out-*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                found = re.findall(r"^(?:summary|totals): (\d+)", file.read(), re.M)
            threads[path.rsplit("-", 1)[1]] = int(found[-1]) if found else 0
    if "01" not in threads:
        raise Failed("callgrind wrote no figures")
    return sum(threads.values()), threads["01"]


def api_span(bench):
    """A span with six attributes through the API."""
    rows = []
    for threads in (1, 2):
        bursts = 200 * bench.scale
        command = [bench.program("api-span"), "-t", str(threads), "-n", str(1000 * bursts)]
        with bench.collector(None) as fast_collector, bench.collector(None) as collector:
            fast, paced = bench.traced(fast_collector.url()), bench.traced(collector.url())
            results = interleave(
                {
                    f"{threads} thread(s), at full speed": lambda: run(command, fast),
                    f"{threads} thread(s), paced": lambda: run([*command, "-p", "3000"], paced),
                },
                min(bench.rounds, 5),
                bench.progress,
            )
            arrived = collector.stats()["spans"]
        at_full_speed, slow = results.values()
        made = sum(result["spans"] for result in slow)
        for label, value, aim in (
            (
                "in the calling thread, at full speed",
                median_of(at_full_speed, lambda r: r["thread_ns"]),
                "≤ 250 ns",
            ),
            (
                f"in the whole process, paced ({arrived:,} of {made:,.0f} arrived)",
                median_of(slow, lambda r: r["process_us"] * 1e3 / r["spans"]),
                "≤ 600 ns",
            ),
        ):
            rows.append(
                (
                    f"API span with six attributes, {threads} thread(s), {label}",
                    DASH,
                    f"{value:.0f} ns",
                    DASH,
                    aim,
                )
            )
    return rows


def lost_spans(bench):
    """Spans that arrive when two threads ask as fast as they can, with default settings."""
    results = []
    with bench.origin(None) as origin, bench.collector(None) as collector:
        environment = bench.traced(collector.url())
        for number in range(3):
            bench.progress(f"lost spans: run {number + 1} of 3")
            results.append(bench.get(origin.url("/"), environment, cpu=None, threads=2))
        stats = collector.stats()
    label = "keep-alive GETs at full speed from 2 threads, default settings: spans that arrived"
    return [arrival_row(label, results, stats)]


def processes(bench):
    """Start and end of a program without spans, of one with a single request, and everyday calls."""
    rows = []
    with bench.origin(OTHER_CPU) as origin, bench.collector() as collector:
        with TlsFront(collector.port, OTHER_CPU) as front:
            one_get = [bench.program("curl-get"), "-n", "1", origin.url("/")]
            plain, tls = collector.url(), front.url()
            for label, command, endpoint, aim in (
                ("exec and end of `/bin/true`", ["/bin/true"], plain, "≤ +0.30 ms"),
                ("a program of one request, from start to end", one_get, plain, "≤ +1.50 ms"),
                ("a program of one request, collector behind https", one_get, tls, "stated"),
            ):
                bench.progress(label)
                environment = bench.traced(
                    endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=front.certificate
                )
                del environment["LD_PRELOAD"]
                result = run(
                    [
                        bench.program("spawn"),
                        "-n",
                        str(60 * bench.scale),
                        "-l",
                        bench.library,
                        *command,
                    ],
                    environment,
                )
                rows.append(
                    (
                        label,
                        *(f"{result[name] / 1000:.2f} ms" for name in ("bare_us", "preload_us")),
                        f"{result['added_us'] / 1000:+.2f} ms",
                        aim,
                    )
                )
        environment = bench.traced(collector.url())
        command = [bench.program("calls")]
        results = interleave(
            {
                "calls, bare": lambda: run(command, cpu=CLIENT_CPU),
                "calls, preloaded": lambda: run(command, environment, CLIENT_CPU),
            },
            min(bench.rounds, 7),
            bench.progress,
        )
    for name, label in (("dlsym_ns", "one `dlsym`"), ("thread_ns", "one thread made and joined")):
        bare = median_of(results["calls, bare"], lambda r: r[name])
        preloaded = median_of(results["calls, preloaded"], lambda r: r[name])
        rows.append(
            (label, f"{bare:,.0f} ns", f"{preloaded:,.0f} ns", f"{preloaded - bare:+,.0f} ns", DASH)
        )
    return rows


def call_stacks(bench):
    """What a call stack on every failed request adds."""
    with bench.origin() as origin, bench.collector() as collector:
        url = origin.url("/fail")
        without = bench.traced(collector.url())
        with_stacks = bench.traced(collector.url(), OTELSHIM_STACKS="true")
        results = interleave(
            {
                "failing, bare": lambda: bench.get(url),
                "failing, traced": lambda: bench.get(url, without),
                "failing, with stacks": lambda: bench.get(url, with_stacks),
            },
            min(bench.rounds, 7),
            bench.progress,
        )
    rows = []
    for name, label in (
        ("failing, traced", "GET that fails (500), CPU of all threads"),
        ("failing, with stacks", "the same with a call stack on each, `OTELSHIM_STACKS=true`"),
    ):
        rows.append(
            (
                label,
                us(median_of(results["failing, bare"], cpu_per_request)),
                us(median_of(results[name], cpu_per_request)),
                f"{median_pair(results[name], results['failing, bare'], cpu_added):+.2f} µs",
                DASH,
            )
        )
    return rows


SECTIONS = {
    "get": keep_alive_get,
    "instructions": instructions,
    "api": api_span,
    "lost": lost_spans,
    "processes": processes,
    "stacks": call_stacks,
}
