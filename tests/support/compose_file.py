"""docker-compose.yml and the Dockerfile: the one place where images, and so Kafka's version, are pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def image(service: str) -> str:
    """Repository and tag of a service's image."""
    return str(SERVICES[service]["image"])


def tag(service: str) -> str:
    return image(service).rpartition(":")[2]


def named_images() -> list[str]:
    """Every image that does not come from this repository: of services, and the bases of the Dockerfile."""
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    bases = {base for base, _ in stages} - {name for _, name in stages}
    return sorted(bases | {image(name) for name, service in SERVICES.items() if "build" not in service})
