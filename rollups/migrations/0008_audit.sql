-- How many partitions the topic of a source had, and since when that is known. Another number moves keys to other
-- partitions, whose memories do not know them: clicks of that time cannot be verified.
CREATE TABLE IF NOT EXISTS topic_partitions
(
    source UInt32,
    partitions UInt32,
    noted_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    unverified_until SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (source, partitions);

-- What troubles partitions, as the workers that hold them say, for everybody else. A higher version replaces a lower.
CREATE TABLE IF NOT EXISTS partition_states
(
    source UInt32,
    partition UInt16,
    state Enum8('ok' = 0, 'failing' = 1, 'halted' = 2, 'late' = 3),
    why String,
    since DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (source, partition);

-- What the log had at some offsets when they were counted: CRC-32 of time, key and value of the record.
CREATE TABLE IF NOT EXISTS log_marks
(
    source UInt32,
    partition UInt16,
    offset UInt64,
    crc UInt32,
    noted_at DateTime('UTC')
)
ENGINE = MergeTree
ORDER BY (source, partition, offset)
TTL noted_at + INTERVAL 30 DAY;
