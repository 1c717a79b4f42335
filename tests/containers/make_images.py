"""`make images`: every image that docker-compose.yml names, under the same tag: pulled, else built from packages.

The recipe of an image is the folder `images/REPOSITORY`. Recipes use Debian's, Maven's and PyPI's packages only: what
they make has the programs of the official image and the behaviour that the tests rely on, not its bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers import engine
from tests.support import clickhouse_server, kafka_broker
from tests.support.compose_file import named_images

RECIPES = Path(__file__).with_name("images")
# Files that a recipe needs besides its own. Packages lie in directories that are named after their versions.
PACKAGES: dict[str, Callable[[], list[Path]]] = {
    "apache/kafka": lambda: sorted(kafka_broker.jars().iterdir()),
    "clickhouse/clickhouse-server": lambda: [
        clickhouse_server.PROGRAM,
        clickhouse_server.library(),
        clickhouse_server.library().parents[1] / "chdb.libs",
        clickhouse_server.refused_writes(),
    ],
}
BASE = RECIPES / "debian"
DEBIAN = "clickmill-debian:bookworm"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
LABEL = "clickmill.recipe"
PROBE_SECONDS = 15.0
STEP_SECONDS = 900.0


def main() -> None:
    """Exits with status 1 and the reason if an image cannot be made."""
    try:
        engine.start()
        make(named_images())
    except RuntimeError as error:
        sys.exit(f"make images: {error}")


def make(images: Iterable[str]) -> None:
    """Makes what the engine lacks, and what it has from an older state of the recipe."""
    missing = [image for image in images if not is_there(image)]
    if missing and can_pull(missing[0]):
        missing = [image for image in missing if not pull(image)]
    for image in missing:
        build(image)


def is_there(image: str) -> bool:
    found = label(image)
    if found is None or (found and found != state(image)):
        return False
    print(f"{image}: there already", flush=True)
    return True


def label(image: str) -> str | None:
    """The state of the recipe that the image was built from; empty if it was pulled, None if there is no image."""
    template = '{{with .Config.Labels}}{{index . "' + LABEL + '"}}{{end}}'
    done = subprocess.run(["docker", "image", "inspect", "--format", template, image], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def state(image: str) -> str:
    """Changes with the files that the image is built from."""
    digest = hashlib.sha256(image.encode())
    for file in [*sorted(BASE.iterdir()), *(files(image) if image != DEBIAN else ())]:
        digest.update(file.read_bytes() if file.is_relative_to(RECIPES.parents[1]) else os.fsencode(file))
    return digest.hexdigest()


def files(image: str) -> list[Path]:
    """The files that a build gets."""
    repository = image.partition(":")[0]
    return [*sorted((RECIPES / repository).iterdir()), *PACKAGES.get(repository, list)()]


def can_pull(image: str) -> bool:
    """Asks the registry for the description of an image, which is small."""
    try:
        asked = subprocess.run(["docker", "manifest", "inspect", image], capture_output=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def pull(image: str) -> bool:
    """False, with the reason printed, if it is to be built instead."""
    try:
        with said(image, "pulling"):
            run("docker", "pull", "--quiet", image)
    except RuntimeError as error:
        print(error, flush=True)
        return False
    return True


def build(image: str) -> None:
    recipe = RECIPES / image.partition(":")[0] / "Dockerfile"
    if not recipe.exists():
        raise RuntimeError(f"{image} cannot be pulled, and there is no recipe for it in {RECIPES}")
    if label(DEBIAN) != state(DEBIAN):
        make_debian()
    with said(image, recipe.read_text().partition("\n")[0].removeprefix("# ")), temporary() as directory:
        archive = directory / "context.tar"
        names = [word for file in files(image) for word in ("--directory", str(file.parent), file.name)]
        run("tar", "--create", "--file", str(archive), "--mode", "a+rX", *names)
        options = ["--build-arg", f"BASE={DEBIAN}", "--build-arg", f"VERSION={image.partition(':')[2]}"]
        options += ["--label", f"{LABEL}={state(image)}", "--tag", image]
        with archive.open("rb") as context:
            run("docker", "build", "--force-rm", *options, "-", stdin=context.fileno())


def make_debian() -> None:
    """The base of all: Debian's smallest system, which trusts what this machine trusts."""
    with said(DEBIAN, "made by debootstrap"), temporary() as directory:
        root, archive = directory / "root", directory / "root.tar"
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root))
        shutil.copyfile(BASE / "apt.conf", root / "etc/apt/apt.conf.d/images")
        shutil.copyfile(BASE / "dpkg.cfg", root / "etc/dpkg/dpkg.cfg.d/images")
        changes = [f"LABEL {LABEL}={state(DEBIAN)}"]
        if certificates := os.environ.get("SSL_CERT_FILE"):
            shutil.copyfile(certificates, f"{root}{CERTIFICATES}")
            changes.append(f"ENV SSL_CERT_FILE={CERTIFICATES} PIP_CERT={CERTIFICATES}")
        excluded = [line.partition("=")[2] for line in (BASE / "dpkg.cfg").read_text().splitlines()]
        excluded += ["/var/cache/apt/*", "/var/lib/apt/lists/*"]
        options = [f"--exclude=.{path}" for path in excluded]
        run("tar", "--create", "--file", str(archive), *options, "--directory", str(root), ".")
        options = [f"--change={change}" for change in changes]
        run("docker", "import", *options, str(archive), DEBIAN)


def run(*command: str, stdin: int = subprocess.DEVNULL) -> None:
    """Runs a command to its end; raises RuntimeError with the end of its output."""
    try:
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=STEP_SECONDS)
    except FileNotFoundError as error:
        raise RuntimeError(f"`{command[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"`{command[0]}` did not end within {STEP_SECONDS:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command[:2])}` failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")


@contextmanager
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@contextmanager
def said(image: str, what: str) -> Iterator[None]:
    """Says what is done, and how long it took."""
    print(f"{image}: {what}", flush=True)
    start = time.monotonic()
    yield
    print(f"{image}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
