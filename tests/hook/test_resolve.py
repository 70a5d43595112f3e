"""Finding the real function: every host here must see the same with and without the preload.

Builds its own small libraries, hosts and a preload from src/hook; needs a C compiler only.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-fPIC", f"-I{ROOT}/src"]
HOOK_FLAGS = ["-fvisibility=hidden", "-ftls-model=initial-exec", "-fcf-protection", "-fexceptions"]
TIMEOUT = 120


def compile(out, *args):
    subprocess.run([*CC, *FLAGS, "-o", str(out), *map(str, args)], check=True, timeout=TIMEOUT)
    return str(out)


needs_find_object = pytest.mark.skipif(
    [int(part) for part in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]] < [2, 35],
    reason="this libc cannot tell where a module ends without its lock")


class Rig:
    """The built pieces, and how to run a host bare and preloaded."""

    def __init__(self, place):
        self.place = place
        machine = os.uname().machine
        sources = [*sorted(ROOT.glob("src/hook/*.c")), ROOT / f"src/hook/dlsym_{machine}.S"]
        self.shim = compile(place / "libhooks.so", "-shared", *HOOK_FLAGS, "-Wl,-z,defs",
                            HERE / "parrot_hooks.c", *sources)
        self.a = self.flavour("a")
        self.b = self.flavour("b", "-DSINGS")
        self.plugin_a = self.plugin("plugin_a.so", self.a)
        self.plugin_b = self.plugin("plugin_b.so", self.b)
        self.waiter_b = self.plugin("waiter_b.so", self.b, "-DWAITS")
        self.interposer = compile(place / "libinterposer.so", "-shared", HERE / "resolve_interposer.c")
        self.allocator = compile(place / "liballocator.so", "-shared", "-fno-builtin",
                                 HERE / "resolve_allocator.c")
        self.namesake = compile(place / "namesake.so", "-shared", HERE / "resolve_namesake.c")
        self.host = compile(place / "host", HERE / "resolve_host.c", "-Wl,--unresolved-symbols=ignore-all")
        self.linked = compile(place / "linked", "-DLINKED", HERE / "resolve_host.c", self.a,
                              f"-Wl,-rpath,{place}")

    def flavour(self, letter, *flags, name=None, version=None):
        version = version or letter
        script = self.place / f"{version}.map"
        script.write_text(f"PARROT_{version.upper()} {{ global: parrot_*; local: *; }};\n")
        name = name or f"libparrot-{letter}.so"
        return compile(self.place / name, "-shared", f'-DFLAVOUR="{letter}"', *flags,
                       f"-Wl,-soname,{name}", f"-Wl,--version-script={script}", HERE / "parrot.c")

    def plugin(self, name, library, *flags):
        return compile(self.place / name, "-shared", *flags, HERE / "resolve_plugin.c", library,
                       f"-Wl,-rpath,{self.place}")

    def run(self, command, preload=(), **env):
        environment = {**os.environ, "HOOK_REPORT": str(self.place / "report"), **env}
        environment.pop("LD_PRELOAD", None)
        if preload:
            environment["LD_PRELOAD"] = ":".join(preload)
        return subprocess.run(command, env=environment, timeout=TIMEOUT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def both(self, command, before=(), after=(), **env):
        """Runs it bare and preloaded, asserts that nothing differs, and returns the output and what
        the preload counted."""
        bare = self.run(command, [*before, *after], **env)
        report = self.place / "report"
        report.unlink(missing_ok=True)
        shimmed = self.run(command, [*before, self.shim, *after], **env)
        assert shimmed.stdout == bare.stdout
        assert shimmed.returncode == bare.returncode == 0, shimmed.stdout
        text = report.read_text() if report.exists() else ""  # none from those that end by _exit
        counts = dict(line.split() for line in text.splitlines())
        return shimmed.stdout, {name: int(count) for name, count in counts.items()}


@pytest.fixture(scope="session")
def rig(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("hook"))


def test_linked_directly(rig):
    out, counts = rig.both([rig.linked, "linked"])
    assert out == "a\na\n"
    assert counts["new"] == 1 and counts["speak"] == 1 and counts["self"] == 1


def test_linked_directly_with_bind_now(rig):
    rig.both([rig.linked, "linked"], LD_BIND_NOW="1")


@pytest.mark.parametrize("program", [["true"], ["sh", "-c", "echo hello"],
                                     [sys.executable, "-c", "print('hello')"]])
def test_bind_now_in_programs_without_the_library(rig, program):
    rig.both(program, LD_BIND_NOW="1")


def test_local_plugin_of_another_flavour(rig):
    out, counts = rig.both([rig.linked, "linked_and_plugin", rig.plugin_b])
    assert out == "a\na\nplugin b\nplugin b\na\na\n"
    assert counts["new"] == 4 and counts["self"] == 4


def test_two_local_plugins(rig):
    out, counts = rig.both([rig.host, "plugins", rig.plugin_a, rig.plugin_b])
    assert out == "plugin a\nplugin a\nplugin b\nplugin b\n" * 2
    assert counts["new"] == 8 and counts["self"] == 8


def test_handles_of_two_flavours(rig):
    out, counts = rig.both([rig.host, "handles", rig.a, rig.b])
    assert out.startswith("a\na\nb\nb\n" * 2)
    assert "a parrot_sing : NULL, error names it, once\nb parrot_sing : found" in out
    assert counts["new"] == 4 and counts["speak"] == 4


def test_ctypes(rig):
    program = """
import ctypes, sys
birds = [ctypes.CDLL(path) for path in sys.argv[1:]]
for bird in birds * 2:
    bird.parrot_new.restype = ctypes.c_void_p
    bird.parrot_speak.restype = bird.parrot_repeat.restype = ctypes.c_char_p
    parrot = ctypes.c_void_p(bird.parrot_new())
    print(bird.parrot_speak(parrot), bird.parrot_repeat(parrot))
    bird.parrot_free(parrot)
"""
    out, counts = rig.both([sys.executable, "-c", program, rig.a, rig.b])
    assert out == "b'a' b'a'\nb'b' b'b'\n" * 2
    assert counts["new"] == 4 and counts["speak"] == 4 and counts["self"] == 4


def test_names_that_nobody_defines(rig):
    out, _ = rig.both([rig.host, "default"])
    assert "default parrot_new : NULL, error names it, once" in out
    assert "default poll : found, no error, once" in out
    assert "program parrot_new : NULL, error names it, once" in out


def test_names_in_the_scope(rig):
    out, _ = rig.both([rig.linked, "default"])
    assert "default parrot_new : found" in out
    assert "default parrot_new PARROT_A: found" in out
    assert "default parrot_new PARROT_B: NULL, error names it" in out


def test_the_program_handle(rig):
    out, counts = rig.both([rig.linked, "program"])
    assert out == "a\na\n"
    assert counts["new"] == 1


def test_weak_probe_fails_well(rig):
    bare = rig.run([rig.host, "weak"])
    shimmed = rig.run([rig.host, "weak"], [rig.shim])
    assert bare.stdout == "absent\n"
    assert (shimmed.stdout, shimmed.returncode) == ("present, gives NULL\n", 0)


def test_old_versions_of_libc_functions(rig):
    out, _ = rig.both([rig.host, "versions"])
    if os.uname().machine == "x86_64":
        assert "libc pthread_cond_wait GLIBC_2.2.5: found" in out
    assert "libc pthread_cond_wait GLIBC_9: NULL, error names it" in out


def test_namesake_of_a_libc_function(rig):
    out, counts = rig.both([rig.host, "namesake", rig.namesake])
    assert out == "4711\n" and counts["poll"] == 0


def test_libc_function(rig):
    version = {"x86_64": "GLIBC_2.2.5", "aarch64": "GLIBC_2.17"}[os.uname().machine]
    out, counts = rig.both([rig.host, "poll", version])
    assert out == "1 1 1 1 1 32\n-1 Bad address\n"
    assert counts["poll"] == 6


@pytest.mark.parametrize("side", ["before", "after"])
def test_interposer(rig, side):
    out, counts = rig.both([rig.linked, "linked"], **{side: [rig.interposer]})
    assert out == "interposed\na\n" + "interposed\na\n"
    assert counts["speak"] + counts["self"] == 2


@pytest.mark.parametrize("side", ["before", "after"])
def test_interposer_asks_for_what_is_absent(rig, side):
    names = ["parrot_new", "parrot_speak", "poll", "no_such_function"]
    out, _ = rig.both([rig.host, "interposer", *names], **{side: [rig.interposer]})
    assert out == "parrot_new 0\nparrot_speak 0\npoll 1\nno_such_function 0\n"
    out, _ = rig.both([rig.linked, "interposer", *names], **{side: [rig.interposer]})
    assert out == "parrot_new 1\nparrot_speak 1\npoll 1\nno_such_function 0\n"


def test_pending_dlerror_survives(rig):
    out, counts = rig.both([rig.host, "dlerror", rig.plugin_a])
    assert out.startswith("plugin a, not loaded\n/nonexistent/library.so: cannot open")
    assert counts["poll"] == 1 and counts["new"] == 1


def test_constructor_that_waits_for_a_thread(rig):
    out, counts = rig.both([rig.host, "plugins", rig.waiter_b])
    assert out == "plugin b\n" * 4
    assert counts["new"] == 5


def test_reload_of_another_flavour_at_the_same_address(rig):
    path, other = str(rig.place / "libparrot-x.so"), str(rig.place / "libparrot-y.so")
    for preload in ([], [rig.shim]):
        rig.flavour("a", name="libparrot-x.so")
        rig.flavour("b", "-DSINGS", name="libparrot-y.so", version="a")
        plugin = rig.plugin("plugin_x.so", path)
        done = rig.run([rig.host, "reload", path, other, plugin], preload)
        assert done.stdout == "".join(f"plugin {letter}\n{letter}\n{letter}\ndlclose 0 0\n"
                                      for letter in "ab") + "same address\n"
        assert done.returncode == 0


@pytest.mark.parametrize("order", ["before", "after"])
def test_allocator_that_starts_with_dlsym(rig, order):
    out, _ = rig.both([rig.host, "allocator"], **{order: [rig.allocator]})
    assert out.startswith("allocated ") and "-" not in out


def test_unwinding_through_a_thunk(rig):
    out, counts = rig.both([rig.host, "unwind", rig.a])
    assert out == "1\n0\n" and counts["sees"] == 2


def test_handles_are_past_an_interposer(rig):
    out, counts = rig.both([rig.host, "handles", rig.a, rig.b], after=[rig.interposer])
    assert out.count("nothing") == 4  # what it finds behind itself when parrot_repeat calls it
    assert counts["new"] == 4


@pytest.mark.parametrize("kind", ["address", "thread"])
def test_sanitized_host(rig, kind):
    """Their start calls our dlsym before their own string functions work."""
    host = compile(rig.place / f"host-{kind}", f"-fsanitize={kind}", HERE / "resolve_host.c",
                   "-Wl,--unresolved-symbols=ignore-all")
    name = f"lib{kind[0]}san.so"
    library = subprocess.run([*CC, f"-print-file-name={name}"], check=True, text=True,
                             stdout=subprocess.PIPE, timeout=TIMEOUT).stdout.strip()
    out, counts = rig.both([host, "plugins", rig.plugin_a], before=[os.path.realpath(library)])
    assert out == "plugin a\n" * 4
    assert counts["new"] == 4


def test_many_loads(rig):
    out, counts = rig.both([rig.host, "many", rig.a, rig.b])
    assert out == "done\n" and counts["new"] == 100


def test_threads_and_loads_at_once(rig):
    out, counts = rig.both([rig.host, "threads", rig.plugin_a, rig.plugin_b, rig.namesake])
    assert out == "0 wrong\n" * 3
    assert counts["new"] == counts["self"] == 40000


def test_fork_while_others_look_up(rig):
    """libc leaves the lock of dl_iterate_phdr taken in the child when another thread had it."""
    out, _ = rig.both([rig.host, "fork"])
    assert out == "400 forks, 0 hung\n"


@needs_find_object
def test_fork_in_a_signal_handler(rig):
    out, _ = rig.both([rig.host, "fork_in_handler"])
    assert out == "forked, 0 hung\n"


@needs_find_object
def test_fork_with_a_thread_inside_the_loader(rig):
    sources = [ROOT / f"src/hook/{name}.c" for name in ("elf", "loader", "resolve")]
    done = rig.run([compile(rig.place / "forks", HERE / "resolve_forks.c", *sources)])
    assert done.stdout == """alone: as ever, all modules
nested: -1
inside: without lock, all modules
left: as ever, all modules
in a walk: without lock, all modules
another inside: without lock, all modules
another left: as ever, all modules
another holds the lock: all modules
"""
    assert done.returncode == 0


def test_cost_of_dlsym(rig):
    for preload in ([], [rig.shim]):
        done = rig.run([rig.host, "cost"], preload)
        assert done.returncode == 0
        print("preloaded:" if preload else "bare:", done.stdout.strip())


def test_exported_symbols_and_stack(rig):
    dynamic = subprocess.run(["readelf", "-W", "--dyn-syms", rig.shim], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    exported = {line.split()[7] for line in dynamic.splitlines()[3:]
                if len(line.split()) == 8 and line.split()[5] == "DEFAULT" and line.split()[6] != "UND"}
    assert exported == {"dlsym", "dlvsym", "dlclose", "poll", "pthread_cond_wait", "pthread_setname_np",
                        "parrot_new", "parrot_speak", "parrot_repeat", "parrot_free", "parrot_sing", "parrot_sees"}
    headers = subprocess.run(["readelf", "-lWd", rig.shim], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    assert [line.split()[-2] for line in headers.splitlines() if "GNU_STACK" in line] == ["RW"]
    assert headers.count("(NEEDED)") == 1 and "TLS " not in headers


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86_64 only")
def test_assembly_is_marked_for_cet(tmp_path):
    done = compile(tmp_path / "dlsym.o", "-c", "-fcf-protection", ROOT / "src/hook/dlsym_x86_64.S")
    notes = subprocess.run(["readelf", "-n", done], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    assert "IBT, SHSTK" in notes


def test_aarch64_assembles(tmp_path):
    clang = shutil.which("clang") or shutil.which("clang-14")
    if clang is None:
        pytest.skip("no clang to assemble for aarch64")
    subprocess.run([clang, "--target=aarch64-linux-gnu", "-c", ROOT / "src/hook/dlsym_aarch64.S",
                    "-o", tmp_path / "dlsym.o"], check=True, timeout=TIMEOUT)
