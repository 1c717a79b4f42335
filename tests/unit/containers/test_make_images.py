"""`make images` without an engine: recipes, and what is said where something is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers import engine
from tests.containers.make_images import RECIPES, make
from tests.support import some
from tests.support.compose_file import image, named_images
from tests.support.docker_servers import docker_missing_reason

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Adds a program of that name and script, which writes its arguments down; no others are installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def add(name: str, script: str) -> None:
        file = tmp_path / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{script}\n')
        file.chmod(0o755)

    return add


def calls(tmp_path: Path, beginning: str) -> int:
    return sum(line.startswith(beginning) for line in (tmp_path / "calls").read_text().splitlines())


def test_the_images_are_those_that_do_not_come_from_this_repository() -> None:
    assert {"python:3.11-slim", image("kafka"), image("clickhouse"), image("redis")} <= set(named_images())
    assert all(":" in name for name in some(named_images())), "neither a stage of the Dockerfile nor our own image"


@pytest.mark.parametrize("name", named_images())
def test_each_image_that_the_compose_file_names_has_a_recipe(name: str) -> None:
    dockerfile = (RECIPES / name.partition(":")[0] / "Dockerfile").read_text()
    assert dockerfile.startswith("# "), "the first line says what is built"
    assert "FROM $BASE" in dockerfile


def test_an_engine_that_answers_is_taken(program: Program, tmp_path: Path) -> None:
    program("docker", "exit 0")
    program("dockerd", "exit 0")
    engine.start()
    assert calls(tmp_path, "dockerd") == 0


def test_without_docker_the_reason_says_so(program: Program) -> None:
    with pytest.raises(RuntimeError, match="`docker` is not installed"):
        engine.start()


def test_only_root_starts_an_engine(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("docker", "exit 1")
    program("dockerd", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="only root"):
        engine.start()
    assert calls(tmp_path, "dockerd") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")
def test_an_engine_that_does_not_start_says_why(program: Program) -> None:
    program("docker", "exit 1")
    program("dockerd", "echo no cgroups here; exit 1")
    with pytest.raises(RuntimeError, match="no cgroups here"):
        engine.start()


def test_the_registry_is_asked_once_and_what_is_there_is_not_pulled(program: Program, tmp_path: Path) -> None:
    program("docker", 'case "$*" in *inspect*new*) [ "$1" = manifest ] ;; esac')
    make(["there:1", "new:1", "new:2"])
    assert (calls(tmp_path, "docker manifest"), calls(tmp_path, "docker pull")) == (1, 2)
    assert calls(tmp_path, "docker pull --quiet there") == 0


def test_an_image_that_can_neither_be_pulled_nor_built_is_named(program: Program) -> None:
    program("docker", "exit 1")
    with pytest.raises(RuntimeError, match="new:1 cannot be pulled, and there is no recipe for it"):
        make(["new:1"])


def test_a_build_that_fails_says_why(program: Program) -> None:
    program("docker", "exit 1")
    program("debootstrap", "echo no such suite; exit 1")
    with pytest.raises(RuntimeError, match="no such suite"):
        make([image("redis")])


def test_tests_in_containers_say_what_is_missing(program: Program) -> None:
    docker_missing_reason.cache_clear()
    try:
        assert docker_missing_reason() == "no Docker engine answers on this machine"
        docker_missing_reason.cache_clear()
        program("docker", '[ "$1" = version ]')
        assert docker_missing_reason() == f"the Docker engine has no {image('kafka')}: run `make images`"
    finally:
        docker_missing_reason.cache_clear()
