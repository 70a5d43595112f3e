"""Builds the test's own hosts: plain C programs that know nothing of the build that is tested."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(HERE))), "include")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-I" + INCLUDE]


def build(source, target, *flags):
    """The path of the program; flags are libraries and definitions."""
    subprocess.run(["gcc", *FLAGS, os.path.join(HERE, source), "-o", str(target), *flags, "-pthread"],
                   check=True, timeout=120)
    return str(target)
