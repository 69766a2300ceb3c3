"""The inventory: what this machine is."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
from importlib.metadata import distributions

from examples.service.settings import VAR


async def take() -> dict[str, object]:
    """Write the inventory to a file; give back its short form."""
    mounts = await run(shutil.which("df") or "df", "-kP")
    packages = {found.name: found.version for found in distributions()}
    short = {"system": platform.platform(), "python": platform.python_version(), "processors": os.cpu_count()}
    inventory = {**short, "mounts": mounts.splitlines(), "packages": packages}
    (VAR / "inventory.json").write_text(json.dumps(inventory, indent=2))
    return {**short, "packages": len(packages)}


async def run(*command: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return printed.decode()
