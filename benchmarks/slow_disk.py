"""A disk whose syncs take longer: what most servers have, and what whoever syncs often pays for.

The rule: everybody waits alike. A small library is put before the system's, in every process of the run: its
`fsync` and `fdatasync` wait, and then do what they are there for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PRELOAD = "LD_PRELOAD"
SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static void wait_first(void) {
    struct timespec left = {0, SYNC_NANOSECONDS};
    while (nanosleep(&left, &left)) {}
}

#define SLOWED(name) \\
    int name(int file) { \\
        static int (*real)(int); \\
        if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, #name); \\
        wait_first(); \\
        return real(file); \\
    }

SLOWED(fsync)
SLOWED(fdatasync)
"""


def go_on_with(milliseconds: float) -> None:
    """Begin this program again, where each sync takes so much longer; at the second call there is nothing to do."""
    if PRELOAD in os.environ:
        return
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        sys.exit("--sync-time: expected Linux and a C compiler, got none: measure without it")
    library = Path(tempfile.mkdtemp(prefix="tickwork-slow-disk-")) / "slow.so"
    nanoseconds = round(milliseconds * 1_000_000)
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DSYNC_NANOSECONDS={nanoseconds}", "-x", "c", "-", "-o", library, "-ldl"],
        input=SOURCE, text=True, check=True,
    )  # fmt: skip
    try:
        os.environ[PRELOAD] = str(library)
        done = subprocess.run([sys.executable, "-m", "benchmarks", *sys.argv[1:]], check=False)
    finally:
        shutil.rmtree(library.parent)
    sys.exit(done.returncode)
