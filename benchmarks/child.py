"""The process of one case: `python -m benchmarks.child module:function OPTIONS FOLDER` prints a result as JSON."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from pathlib import Path


def main() -> None:
    reference, options, folder = sys.argv[1:]
    module, _, name = reference.partition(":")
    function = getattr(importlib.import_module(module), name)
    logging.disable()  # nobody's log lines are measured
    result = function(Path(folder), **json.loads(options))
    print(json.dumps(result), flush=True)
    os._exit(0)  # schedulers may still run, and their ends are not measured either


if __name__ == "__main__":
    main()
