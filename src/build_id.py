"""Writes build_id.h: the version and a digest of all sources, equal in both shared objects of one build.

Usage: build_id.py VERSION SOURCE_DIR OUTPUT DEPFILE
"""
import hashlib
import pathlib
import sys


def main() -> None:
    version, source_dir, output, depfile = sys.argv[1:]
    root = pathlib.Path(source_dir)
    sources = sorted(p for p in root.rglob("*") if p.suffix in {".c", ".h", ".S", ".proto"})
    digest = hashlib.sha256()
    for source in sources:
        digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes())
    text = f'#define SHIM_BUILD_ID "{version}-{digest.hexdigest()[:16]}"\n'
    pathlib.Path(output).write_text(f"/* Generated. */\n#pragma once\n\n{text}")
    pathlib.Path(depfile).write_text(f"{output}: {' '.join(map(str, sources))}\n")


if __name__ == "__main__":
    main()
