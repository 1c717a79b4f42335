"""Names, import map and modules of the static files."""

from __future__ import annotations

import gzip
import re
import tomllib
from pathlib import Path

import pytest

from api.web.assets import PACKAGES, Assets
from tests.support import some

ROOT = Path(__file__).parents[4] / "api" / "web"
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "static").rglob("*") if path.is_file())


def write(root: Path, **files: str) -> Assets:
    for name, text in files.items():
        path = root / "static" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in PACKAGES.values():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return Assets(root)


def test_an_address_changes_with_the_content(tmp_path: Path) -> None:
    before = write(tmp_path, a="1", b="1")
    after = write(tmp_path, a="2", b="1")
    assert before["static/a.js"].url != after["static/a.js"].url
    assert before["static/b.js"].url == after["static/b.js"].url
    assert after.at(before["static/a.js"].url) is None
    assert after.at(after["static/a.js"].url) == after["static/a.js"]


def test_a_file_is_compressed_once(tmp_path: Path) -> None:
    asset = write(tmp_path, a="1" * 1000)["static/a.js"]
    assert gzip.decompress(asset.compressed) == asset.body == b"1" * 1000


def test_modules_are_found_through_relative_imports_and_packages(tmp_path: Path) -> None:
    assets = write(
        tmp_path, main='import {a} from "./a.js";x("from", "to")', a='import"preact";export * from"./b.js"', b="", c=""
    )
    names = ("static/main.js", "static/a.js", PACKAGES["preact"], "static/b.js")
    assert assets.modules("static/main.js") == [assets[name].url for name in names]


def test_what_a_module_asks_for_is_in_the_import_map() -> None:
    assets = Assets()
    mapped = assets.import_map()["imports"]
    for name in some(PACKAGES):
        assert assets.at(mapped[name])
    for name in some(name for name in SOURCES if name.endswith(".js")):
        assert mapped[f"/assets/{name}"] == assets[name].url
        assert assets.modules(name)  # a KeyError names an import that leads nowhere


def test_every_library_names_its_licence_and_its_release() -> None:
    pins = tomllib.loads((ROOT / "vendor" / "vendor.toml").read_text())
    for name, library in some(pins.items()):
        folder = ROOT / "vendor" / library.get("folder", name)
        assert (folder / "LICENSE").exists()
        assert re.fullmatch(r"sha512-[\w+/]{86}==", library["integrity"])
        assert all((folder / file).exists() for file in library["files"].values())


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_has_at_most_300_lines(source: str) -> None:
    assert len((ROOT / source).read_text().splitlines()) <= 300


@pytest.mark.parametrize("folder", sorted({source.rpartition("/")[0] for source in SOURCES}))
def test_a_folder_has_at_most_16_files(folder: str) -> None:
    assert len([path for path in (ROOT / folder).iterdir() if path.is_file()]) <= 16


@pytest.mark.parametrize("source", [source for source in SOURCES if source.endswith(".js")])
def test_no_script_makes_code_or_markup_from_text(source: str) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.findall(forbidden, (ROOT / source).read_text()) == []
