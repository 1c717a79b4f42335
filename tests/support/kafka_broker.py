"""A real Apache Kafka for tests: one KRaft node, both broker and controller, downloaded once with Maven.

The version is that of the image in docker-compose.yml.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tests.support import free_port, listens
from tests.support.compose_file import tag
from tests.support.downloads import downloaded

START_SECONDS = 90.0
STOP_SECONDS = 20.0
MIN_JAVA = 17
_HERE = Path(__file__).resolve().parent / "kafka"
_JVM = [
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
]
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""


def require(reason: str | None) -> None:
    """Skips the test for the reason, if there is one; under CI=true the test fails instead."""
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@functools.cache
def missing_reason() -> str | None:
    """Why Kafka cannot run here, or None. The first call on a machine downloads it."""
    try:
        java()
        jars()
    except RuntimeError as error:
        return str(error)
    return None


@functools.cache
def java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if not java:
        raise RuntimeError("Kafka needs Java: `java` is not installed")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if not version or int(version[1]) < MIN_JAVA:
        raise RuntimeError(f"Kafka needs Java {MIN_JAVA} or newer: {told.splitlines()[:1]}")
    return java


@functools.cache
def jars() -> Path:
    """The directory of the jars; the first call on a machine downloads them."""
    maven = shutil.which("mvn")
    if not maven:
        raise RuntimeError("Kafka is downloaded with Maven, and `mvn` is not installed")
    version, pom = tag("kafka"), _HERE / "pom.xml"
    copy = [maven, "--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never", "--file", str(pom)]
    copy += [f"-Dkafka.version={version}", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    return downloaded(f"kafka-{version}", pom, lambda target: [*copy, f"-DoutputDirectory={target}"])


def java_program(source: str, *arguments: str) -> list[str]:
    """The command that compiles and runs a Java file of `tests/support/kafka` with Kafka's client."""
    require(missing_reason())
    return [java(), *_JVM, "-cp", f"{jars()}/*", str(_HERE / source), *arguments]


class KafkaBroker:
    """One broker over one directory; cluster id and port survive restarts."""

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.log = data_dir / "broker.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._controller_port = free_port()
        atexit.register(self.kill)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the broker and waits until it responds. Blocks, the event loop too."""
        properties = self._configure()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("kafka.Kafka", str(properties)), stdout=log, stderr=log, start_new_session=True
            )
        with ThreadPoolExecutor(1) as thread:
            ready = thread.submit(asyncio.run, self._wait_until_ready()).result()
        if not ready:
            self.kill()
            raise RuntimeError(f"Kafka did not start on {self.bootstrap}:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """A clean stop."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again on the same data and port, after a stop if it still runs."""
        self.stop()
        self.start()

    def __enter__(self) -> KafkaBroker:
        if self.process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _command(self, main_class: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}"
        return [java(), *_JVM, logging, "-cp", f"{jars()}/*", main_class, *arguments]

    def _configure(self) -> Path:
        """Writes the configuration, and formats the storage the first time."""
        properties, logs = self.data_dir / "server.properties", self.data_dir / "logs"
        if (logs / "meta.properties").exists():
            return properties
        self.data_dir.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(port=self.port, controller=self._controller_port, logs=logs.resolve())
        properties.write_text(text)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_storage = ["format", f"--cluster-id={cluster}", "--config", str(properties)]
        done = subprocess.run(
            self._command("kafka.tools.StorageTool", *format_storage),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
        return properties

    async def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            if listens(self.port) and await self._answers():
                return True
            await asyncio.sleep(0.02)
        return False

    async def _answers(self) -> bool:
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except KafkaError:
            return False
        finally:
            await client.close()

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
