"""A real ZooKeeper for tests: one node, downloaded once with Maven."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import time
from pathlib import Path

from tests.support import free_port, listens
from tests.support.downloads import downloaded
from tests.support.kafka_broker import java

START_SECONDS = 60.0
_POM = Path(__file__).resolve().parent / "zookeeper" / "pom.xml"
_JVM = ["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_PROPERTIES = """\
clientPort={port}
clientPortAddress=127.0.0.1
dataDir={data}
tickTime=500
minSessionTimeout=1000
admin.enableServer=false
"""


@functools.cache
def _jars() -> Path:
    """The directory of the jars; the first call on a machine downloads them. Raises RuntimeError."""
    maven = shutil.which("mvn")
    if not maven:
        raise RuntimeError("ZooKeeper is downloaded with Maven, and `mvn` is not installed")
    copy = [maven, "-B", "-q", "-Dstyle.color=never", "-f", str(_POM), "dependency:copy-dependencies"]
    return downloaded("zookeeper", _POM, lambda target: [*copy, f"-DoutputDirectory={target}"])


@functools.cache
def missing_reason() -> str | None:
    """Why ZooKeeper cannot run here, or None."""
    try:
        java()
        _jars()
    except RuntimeError as error:
        return str(error)
    return None


class ZooKeeper:
    """One server over one directory; data and port survive a kill."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log = data_dir / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    def start(self) -> None:
        """Starts the process and waits until it listens. Blocks."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        properties = self.data_dir / "zoo.cfg"
        properties.write_text(_PROPERTIES.format(port=self.port, data=self.data_dir.resolve() / "data"))
        main = ["-cp", f"{_jars()}/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(properties)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([java(), *_JVM, *main], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"ZooKeeper did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, like a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
