"""Error codes of ClickHouse with the names from its source, in the groups that Clickmill distinguishes."""

from __future__ import annotations

from enum import IntEnum

FUNCTION_THROW_IF_VALUE_IS_NON_ZERO = 395


class TooLarge(IntEnum):
    """A query that is always too large."""

    TOO_MANY_ROWS = 158
    TOO_MANY_BYTES = 307
    TOO_MANY_ROWS_OR_BYTES = 396


class TooMuch(IntEnum):
    """A query that was too much at this moment."""

    TIMEOUT_EXCEEDED = 159
    TOO_SLOW = 160
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    MEMORY_LIMIT_EXCEEDED = 241
    QUERY_WAS_CANCELLED = 394
    CANNOT_SCHEDULE_TASK = 439


class NotMigrated(IntEnum):
    NO_SUCH_COLUMN_IN_TABLE = 16
    UNKNOWN_IDENTIFIER = 47
    UNKNOWN_TABLE = 60
    UNKNOWN_DATABASE = 81


class NoRights(IntEnum):
    READONLY = 164
    UNKNOWN_USER = 192
    WRONG_PASSWORD = 193
    TABLE_IS_READ_ONLY = 242
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516


class DiskFailed(IntEnum):
    CANNOT_READ_FROM_FILE_DESCRIPTOR = 74
    CANNOT_WRITE_TO_FILE_DESCRIPTOR = 75
    CANNOT_OPEN_FILE = 76
    CANNOT_CLOSE_FILE = 77
    CANNOT_SEEK_THROUGH_FILE = 87
    CANNOT_TRUNCATE_FILE = 88
    FILE_DOESNT_EXIST = 107
    CANNOT_CREATE_DIRECTORY = 172
    CANNOT_FSYNC = 204
    NO_FILE_IN_DATA_PART = 226
    UNEXPECTED_FILE_IN_DATA_PART = 227
    BAD_SIZE_OF_FILE_IN_DATA_PART = 228
    NOT_ENOUGH_SPACE = 243
    TOO_MANY_PARTS = 252
    CANNOT_WRITE_TO_FILE = 294
    PATH_ACCESS_DENIED = 481
    CANNOT_CREATE_FILE = 586
    CANNOT_APPEND_TO_FILE = 641


class Away(IntEnum):
    """The network, Keeper, or the server as a whole."""

    CANNOT_ALLOCATE_MEMORY = 173
    SOCKET_TIMEOUT = 209
    NETWORK_ERROR = 210
    NO_ZOOKEEPER = 225
    ABORTED = 236
    NO_ACTIVE_REPLICAS = 254
    ALL_CONNECTION_TRIES_FAILED = 279
    UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE = 286
    UNKNOWN_STATUS_OF_INSERT = 319
    UNFINISHED = 341
    SYSTEM_ERROR = 425
    KEEPER_EXCEPTION = 999
    POCO_EXCEPTION = 1000
    STD_EXCEPTION = 1001
    UNKNOWN_EXCEPTION = 1002


TOO_LARGE, TOO_MUCH = {*TooLarge}, {*TooMuch}
# Servers that would refuse any statement, whatever its content.
IMPAIRED = {*NotMigrated, *NoRights, *DiskFailed, *Away}
