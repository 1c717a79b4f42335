"""Problems of topics that Clickmill did not create, each with its cure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from ingest.settings import Settings

log = logging.getLogger(__name__)

Config = Mapping[str, str]  # Kafka's names and values; those that the broker does not report are absent

_DAY_MS = 24 * 3_600_000
_UNLIMITED = -1
_MIN_BYTES = 1 << 30  # of a partition: some millions of clicks

_logged: set[str] = set()  # in this process


def findings(settings: Settings, clicks: Config, dead: Config, largest: int) -> list[str]:
    """One line for each problem of the topics of clicks and dead letters, with its cure.

    `largest` is the record size in bytes that both should accept.
    """
    found: list[str] = []
    for topic, config in ((settings.topic, clicks), (settings.dead_topic, dead)):
        lines = (*_size(config, largest), *_retention(config), *_cleanup(config))
        found += [f"topic {topic}: {line}" for line in lines]
    found += [f"topic {settings.topic}: {line}" for line in (*_timestamp_type(clicks), *_horizon(settings, clicks))]
    return found + [f"topic {settings.dead_topic}: {line}" for line in _compare_topics(clicks, dead)]


def _size(config: Config, largest: int) -> Iterable[str]:
    most = _number(config, "max.message.bytes")
    if most is not None and most < largest:
        yield f"max.message.bytes is {most}, so larger records and dead letters are refused or cut; set it to {largest}"


def _retention(config: Config) -> Iterable[str]:
    kept = _number(config, "retention.ms")
    if kept is not None and kept != _UNLIMITED and kept < _DAY_MS:
        yield (
            f"retention.ms is {kept}, so records of which nothing was counted are gone after less than a day without "
            "workers; set it to 86400000 or more"
        )
    size = _number(config, "retention.bytes")
    if size is not None and size != _UNLIMITED and size < _MIN_BYTES:
        yield (
            f"retention.bytes is {size}, so under load records are removed however young they are, counted or not; "
            f"set it to {_MIN_BYTES} or more, or to -1 and watch the disk"
        )


def _cleanup(config: Config) -> Iterable[str]:
    if "compact" in config.get("cleanup.policy", ""):
        yield (
            f"cleanup.policy is {config['cleanup.policy']}, so of the records of a user only the newest is kept, "
            "counted or not; set it to delete"
        )
    if config.get("unclean.leader.election.enable") == "true":
        yield (
            "unclean.leader.election.enable is true, so records that were acknowledged may vanish when a broker fails; "
            "set it to false"
        )


def _timestamp_type(config: Config) -> Iterable[str]:
    if config.get("message.timestamp.type") == "CreateTime":
        yield (
            "message.timestamp.type is CreateTime, so the clocks of senders decide when ids are forgotten and what "
            "X-Data-As-Of says; set it to LogAppendTime"
        )


def _horizon(settings: Settings, config: Config) -> Iterable[str]:
    kept, minutes = _number(config, "retention.ms"), settings.dedupe_horizon_minutes
    if kept is not None and _DAY_MS <= kept < minutes * 60_000:
        yield (
            f"retention.ms is {kept}, shorter than the {minutes} minutes of CLICKMILL_DEDUPE_HORIZON_MINUTES; "
            f"set it to {minutes * 60_000} or more"
        )


def _compare_topics(clicks: Config, dead: Config) -> Iterable[str]:
    """A dead letter is as large as its record, and is needed for longer."""
    theirs, ours = _number(clicks, "max.message.bytes"), _number(dead, "max.message.bytes")
    if theirs is not None and ours is not None and ours < theirs:
        yield f"max.message.bytes is {ours}, less than the {theirs} of the topic of clicks; set it to {theirs}"
    theirs, ours = _number(clicks, "retention.ms"), _number(dead, "retention.ms")
    if ours is not None and ours != _UNLIMITED and theirs is not None and (theirs == _UNLIMITED or ours < theirs):
        yield f"retention.ms is {ours}, so dead letters are gone before the clicks beside them ({theirs}); raise it"


def _number(config: Config, name: str) -> int | None:
    """The value as a number, or None."""
    text = config.get(name, "")
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else None


async def warn_of_findings(admin: AIOKafkaAdminClient, settings: Settings, largest: int) -> None:
    """Warns of each finding, once in a process. Does nothing if the broker does not report settings to us."""
    try:
        clicks, dead = await _configs(admin, [settings.topic, settings.dead_topic])
    except (KafkaError, NotImplementedError) as error:
        log_once(logging.INFO, f"topic settings are not checked, as the broker does not report them: {error!r}")
        return
    for line in findings(settings, clicks, dead, largest):
        log_once(logging.WARNING, line)


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> list[Config]:
    """The effective settings of each topic. Raises KafkaError."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    configs: dict[str, Config] = {topic: {} for topic in topics}
    for response in await admin.describe_configs(resources):
        for error_code, message, _, name, entries in response.resources:
            if error_code:
                raise for_code(error_code)(message)
            configs[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return [configs[topic] for topic in topics]


def log_once(level: int, line: str) -> None:
    """Logs a line once in a process."""
    if line not in _logged:
        _logged.add(line)
        log.log(level, "%s", line)
