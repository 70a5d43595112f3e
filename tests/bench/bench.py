"""Runs the benchmark and prints the README's performance table. Started by scripts/bench."""

import argparse
import datetime
import os
import re
import subprocess
import sys

from rig import Failed
from sections import SECTIONS, Bench

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    curl = subprocess.run(
        ["pkg-config", "--modversion", "libcurl"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with open("/etc/os-release", encoding="utf-8") as file:
        system = re.search(r'^PRETTY_NAME="(.*)"$', file.read(), re.M)
    return (
        f"{model[1] if model else os.uname().machine}, {os.cpu_count()} cores, "
        f"{system[1] if system else 'Linux'}, Linux {os.uname().release}, libcurl {curl}"
    )


def report(rows, quick):
    lines = [
        f"Measured by `scripts/bench{' --quick' if quick else ''}` on "
        f"{datetime.date.today().isoformat()}: {machine()}. Medians of interleaved runs. Client and origin "
        "share one CPU, the collector has another; CPU time is that of the client's whole process, from "
        "its start to its end, exporter thread included. https is nginx in front of the same collector.",
        "",
        "| | bare | with otelshim | difference | aim |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def write_readme(text):
    path = os.path.join(ROOT, "README.md")
    with open(path, encoding="utf-8") as file:
        before, found, rest = file.read().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise Failed(f"README.md lacks {BEGIN} or {END}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}{END}{after}")


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split(".")[0] + ".")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="a short look: fewer and shorter runs")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"any of: {', '.join(SECTIONS)}"
    )
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if options.write and (options.sections or options.quick):
        parser.error("--write wants all sections, at full length")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two CPUs are needed")
    bench = Bench(options.build, options.quick, progress)
    rows = []
    try:
        for name in options.sections or SECTIONS:
            print(f"{name}: {SECTIONS[name].__doc__}", file=sys.stderr, flush=True)
            rows += SECTIONS[name](bench)
        text = report(rows, options.quick)
        if options.write:
            write_readme(text)
    except Failed as failure:
        print(f"scripts/bench: {failure}", file=sys.stderr)
        return 1
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
