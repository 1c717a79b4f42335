"""Fetches the browser libraries of `vendor.toml` from npm and checks them: `python api/web/vendor/fetch.py`.

Files are taken as published. Fails if a tarball is not the one whose hash is in `vendor.toml`.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(target: Path) -> None:
    """Writes every file below the target directory. Blocks; needs npm."""
    for name, library in tomllib.loads((HERE / "vendor.toml").read_text()).items():
        folder = target / library.get("folder", name)
        folder.mkdir(parents=True, exist_ok=True)
        for source, content in _fetch(library["package"], library["integrity"], library["files"]).items():
            (folder / library["files"][source]).write_bytes(content)


def _fetch(package: str, integrity: str, files: dict[str, str]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        packed = subprocess.run(["npm", "pack", "--silent", package], cwd=scratch, check=True, capture_output=True)
        tarball = Path(scratch, packed.stdout.decode().split()[-1])
        digest = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if digest != integrity:
            raise SystemExit(f"{package} is {digest}, not {integrity}")
        with tarfile.open(tarball) as archive:
            members = {source: archive.extractfile(f"package/{source}") for source in files}
            return {source: member.read() for source, member in members.items() if member}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
