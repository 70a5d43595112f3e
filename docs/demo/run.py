"""Runs the demo's three programs twice, bare and preloaded, and shows one trace. Started by scripts/demo."""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile

from spans import Collector
from tree import Printer, expected_count, find

HERE = os.path.dirname(os.path.abspath(__file__))


@contextlib.contextmanager
def shop(build, folder, preload):
    """Starts warehouse and pricing; gives what the storefront needs; stops them."""
    directory = os.path.join(folder, "services.conf")
    running, lines = [], []
    try:
        for name in ("warehouse", "pricing"):
            process = subprocess.Popen(
                [os.path.join(build, "docs", "demo", name), directory],
                stdout=subprocess.PIPE,
                text=True,
                env=environment(name, preload),
            )
            running.append(process)
            lines.append(f"{name} http://127.0.0.1:{int(process.stdout.readline())}\n")
        with open(directory, "w", encoding="utf-8") as file:
            file.writelines(lines)
        yield directory
    finally:
        for process in running:
            process.terminate()
            process.wait()
            process.stdout.close()


def environment(service, preload):
    plain = {
        n: v
        for n, v in os.environ.items()
        if not n.startswith(("OTEL_", "OTELSHIM_", "LD_PRELOAD"))
    }
    if not preload:
        return plain
    library, endpoint = preload
    return {
        **plain,
        "LD_PRELOAD": library,
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


def place_orders(build, directory, orders, preload):
    return subprocess.run(
        [os.path.join(build, "docs", "demo", "storefront"), directory, str(orders)],
        capture_output=True,
        text=True,
        env=environment("storefront", preload),
        timeout=120,
        check=False,
    )


def tracing_words():
    """Lines of the demo's sources that speak of tracing."""
    count = 0
    for name in os.listdir(HERE):
        if name.endswith((".c", ".h")):
            with open(os.path.join(HERE, name), encoding="utf-8") as file:
                count += len(re.findall(r"trac(?:e|ing)|span|telemetry|otel", file.read(), re.I))
    return count


def say(text):
    print(text, flush=True)


def judge(printer, spans, orders, malformed):
    """Shows a trace and counts. Whether everything is where it belongs."""
    each = expected_count()
    found = {order: find(order, spans) for order in range(1, orders + 1)}
    shown = max(1, orders // 2)
    trace_ids = {span.trace_id for span in spans if span.parameter("order") == str(shown)}
    say(f"What came of order {shown}:\n")
    for trace_id in sorted(trace_ids):
        printer.tree([span for span in spans if span.trace_id == trace_id])
    say(
        f"\n{len(found[shown])} of {each} expected spans are in it. In all {orders} traces: "
        f"{sum(map(len, found.values()))} of {orders * each}."
    )
    placed = {(span.trace_id, span.span_id) for matched in found.values() for span in matched}
    extra = sum((span.trace_id, span.span_id) not in placed for span in spans)
    if extra or malformed:
        say(f"{extra} spans are not where they belong, {malformed} messages could not be read.")
    return not extra and not malformed and all(len(matched) == each for matched in found.values())


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Traces three untouched programs."
    )
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--orders", type=int, default=20, help="orders to place (default: 20)")
    parser.add_argument("--colour", choices=("auto", "always", "never"), default="auto")
    options = parser.parse_args()
    colour = options.colour == "always" or (options.colour == "auto" and sys.stdout.isatty())
    library = os.path.join(options.build, "src", "libotelshim.so")

    say(
        f"storefront, warehouse and pricing: C over libcurl and threads (docs/demo), with "
        f"{tracing_words()} words about tracing."
    )
    with tempfile.TemporaryDirectory(prefix="otelshim-demo-") as folder:
        with shop(options.build, folder, None) as directory:
            bare = place_orders(options.build, directory, options.orders, None)
        say(f"Bare: {options.orders} orders, exit code {bare.returncode}.")
        collector = Collector()
        preload = (library, collector.url)
        with shop(options.build, folder, preload) as directory:
            traced = place_orders(options.build, directory, options.orders, preload)
            collector.wait_for(options.orders * expected_count(), 10)
        spans = collector.close()
    same = (bare.stdout, bare.stderr, bare.returncode) == (
        traced.stdout,
        traced.stderr,
        traced.returncode,
    )
    say(
        f"The same with LD_PRELOAD=libotelshim.so: exit code {traced.returncode}, "
        f"output {'unchanged' if same else 'CHANGED'}; {len(spans)} spans came by OTLP."
    )
    if not same:
        say(bare.stdout + bare.stderr + "---\n" + traced.stdout + traced.stderr)
    say(
        "Spans are what each process sends by libcurl; requests that come in are not traced yet. Threads "
        "that the\nstorefront makes while an order is answered carry its context; warehouse and pricing "
        "pass headers on, and\nwhat they send joins the trace of who asked them.\n"
    )
    complete = judge(Printer(colour), spans, options.orders, collector.malformed)
    return 0 if complete and same and bare.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
