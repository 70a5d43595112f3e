"""Runs programs bare and under the shim, and judges that a traced program behaves like a bare one. Knows where
the built objects are; knows no particular program."""

import os
import re
import subprocess
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("OTELSHIM_BUILD", "build"))
SHIM = os.path.join(BUILD, "src", "libotelshim.so")
EXPORTER = os.path.join(BUILD, "src", "libotelshim-exporter.so")

HARD_LIMIT = 60  # seconds; far above anything that a healthy run needs

LOG_LINE = re.compile(r"otelshim: \[(\d+)\] (\w+): (.*)")
COUNT = re.compile(r"(\d+) (.+)")

Result = namedtuple("Result", "stdout stderr code")


def counter_texts():
    """The counters' texts from the header that defines them, by name."""
    with open(os.path.join(ROOT, "src", "base", "counters.h"), encoding="utf-8") as file:
        texts = dict(re.findall(r'X\((\w+),\s*"([^"]+)"\)', file.read()))
    assert "SPANS_RECORDED" in texts
    return texts


COUNTER = counter_texts()


def sanitizer_preload():
    """Built with AddressSanitizer, its runtime has to come before us in the list."""
    dynamic = subprocess.run(["readelf", "-d", SHIM], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"NEEDED.*\[(lib(?:asan|ubsan)\.so[^\]]*)\]", dynamic)
    return [subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True,
                           check=True).stdout.strip() for name in names]


# Debian's curl and git stop in setlocale() when AddressSanitizer's runtime is preloaded, also without us: under it
# something that does as much stands in for curl. Only tests that need no more of curl than this may use it.
PLAIN_CURL = """
import pycurl, sys
curl, code = pycurl.Curl(), 0
for url in sys.argv[1:]:
    if not url.startswith("-"):
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.WRITEFUNCTION, sys.stdout.buffer.write)
        try:
            curl.perform()
        except pycurl.error as error:
            code = error.args[0]
sys.exit(code)
"""
SANITIZED = bool(sanitizer_preload()) if os.path.exists(SHIM) else False
CURL = ["/usr/bin/python3", "-c", PLAIN_CURL, "-sS"] if SANITIZED else ["curl", "-sS"]


class Host:
    """Runs commands in one environment: nothing of the caller's but PATH."""

    def __init__(self, home, endpoint, shim=SHIM):
        self.home = str(home)
        self.endpoint = endpoint
        self.preload = ":".join([*sanitizer_preload(), shim])

    def environment(self, preload=True, env=None):
        result = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.home, "LC_ALL": "C.UTF-8",
                  "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        if preload:
            result["LD_PRELOAD"] = self.preload
            result["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.endpoint
            if SANITIZED:
                result["ASAN_OPTIONS"] = "detect_leaks=0"
        for name, value in (env or {}).items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = str(value)
        return result

    def start(self, command, preload=True, env=None, **options):
        """A running subprocess.Popen with pipes; the caller ends it."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "cwd": self.home, **options}
        return subprocess.Popen([os.fspath(part) for part in command],
                                env=self.environment(preload, env), **options)

    def run(self, command, preload=True, env=None, stdin=b"", timeout=HARD_LIMIT, **options):
        """A Result; a run over the hard limit is a failure."""
        with self.start(command, preload, env, **options) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                raise AssertionError(f"{command} did not end within {timeout} s; "
                                     f"stderr: {stderr!r}") from None
        return Result(stdout, stderr, process.returncode)

    def same(self, command, env=None, before=None, normalise=None, bare_env=None, **options):
        """Runs bare, then preloaded; asserts equal stdout, stderr and exit code; returns the latter.
        `before` runs before each (clean folders); `normalise` maps an output to what may be compared,
        for figures that differ between any two runs. `env` is for both, but what bare_env overrides."""
        results = []
        for preload in (False, True):
            if before:
                before()
            here = {**(env or {}), **(bare_env or {})} if not preload else env
            results.append(self.run(command, preload, here, **options))
        bare, shimmed = results
        normalise = normalise or (lambda output: output)
        assert shimmed.code == bare.code, (bare, shimmed)
        assert normalise(shimmed.stdout) == normalise(bare.stdout), (bare, shimmed)
        assert normalise(shimmed.stderr) == normalise(bare.stderr), (bare, shimmed)
        return shimmed


def same_requests(bare, shimmed):
    """What the servers got is the same but for the headers that we add."""
    key = lambda request: repr(request.without_ours)
    assert sorted(map(key, shimmed)) == sorted(map(key, bare))


def summary(path):
    """What a log file says of each process at its exit: {pid: {counter's text: count}}."""
    result = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = LOG_LINE.match(line)
            assert match, f"not a line of ours: {line!r}"
            count = COUNT.fullmatch(match[3].rstrip("\n"))
            if count and count[2] in COUNTER.values():
                result.setdefault(int(match[1]), {})[count[2]] = int(count[1])
    return result


def dropped(counts):
    """The counts of one process's spans that were lost, by reason."""
    return {text: n for text, n in counts.items() if text.startswith("spans dropped: ")}
