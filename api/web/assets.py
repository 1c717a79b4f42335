"""The static files of the pages, under names with a hash of their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "/assets/"
_FOLDERS = ("static", "vendor")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORTS = re.compile(r"""(?<!["'])\b(?:from|import)\s*["']([^"']+)["']""")  # not in a text, "from"

# Packages that modules import by name; their files lie in `vendor`.
PACKAGES = {
    "preact": "vendor/preact/preact.mjs",
    "preact/hooks": "vendor/preact/hooks.mjs",
    "htm": "vendor/htm/htm.mjs",
    "@preact/signals": "vendor/signals/signals.mjs",
    "@preact/signals-core": "vendor/signals/signals-core.mjs",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served: `url` changes with the content."""

    url: str
    media_type: str
    body: bytes
    compressed: bytes  # gzip


class Assets:
    """All files, read once. Names are paths such as `static/home/page.js`."""

    def __init__(self, root: Path = Path(__file__).parent) -> None:
        self._by_name = {
            path.relative_to(root).as_posix(): _asset(root, path)
            for folder in _FOLDERS
            for path in sorted((root / folder).rglob("*"))
            if path.suffix in _TYPES
        }
        self._by_url = {asset.url: asset for asset in self._by_name.values()}

    def __getitem__(self, name: str) -> Asset:
        return self._by_name[name]

    def at(self, url: str) -> Asset | None:
        return self._by_url.get(url)

    def import_map(self) -> dict[str, dict[str, str]]:
        """Maps names of packages, and the URLs that relative imports lead to, to hashed URLs."""
        packages = {name: self[file].url for name, file in PACKAGES.items()}
        modules = {f"{PREFIX}{name}": asset.url for name, asset in self._by_name.items() if _is_module(name)}
        return {"imports": {**packages, **modules}}

    def styles(self) -> list[str]:
        """URLs of all style sheets, in the order of their names: pages change without loading the document again."""
        return [asset.url for name, asset in self._by_name.items() if name.endswith(".css")]

    def modules(self, *entries: str) -> list[str]:
        """URLs of all modules that these load, themselves first: a browser can fetch them at once."""
        found: dict[str, None] = {}
        pending = list(entries)
        while pending:
            name = pending.pop(0)
            if name not in found:
                found[name] = None
                pending += self._imported_by(name)
        return [self[name].url for name in found]

    def _imported_by(self, name: str) -> Iterator[str]:
        for target in _IMPORTS.findall(self[name].body.decode()):
            yield PACKAGES.get(target) or posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _is_module(name: str) -> bool:
    return name.endswith((".js", ".mjs"))


def _asset(root: Path, path: Path) -> Asset:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    name = path.relative_to(root).with_suffix(f".{digest}{path.suffix}").as_posix()
    return Asset(PREFIX + name, _TYPES[path.suffix], body, gzip.compress(body, mtime=0))
