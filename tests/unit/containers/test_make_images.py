"""The recipes of the images that docker-compose.yml names."""

from __future__ import annotations

import pytest

from tests.containers.make_images import RECIPES
from tests.support import some
from tests.support.compose_file import image, named_images


def test_the_images_are_those_that_do_not_come_from_this_repository() -> None:
    assert {"python:3.11-slim", image("kafka"), image("clickhouse"), image("redis")} <= set(named_images())
    assert all(":" in name for name in some(named_images())), "neither a stage of the Dockerfile nor our own image"


@pytest.mark.parametrize("name", named_images())
def test_each_image_that_the_compose_file_names_has_a_recipe(name: str) -> None:
    dockerfile = (RECIPES / name.partition(":")[0] / "Dockerfile").read_text()
    assert dockerfile.startswith("# "), "the first line says what is built"
    assert "FROM $BASE" in dockerfile
