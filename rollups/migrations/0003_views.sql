-- What people query. Users are right to one in some thousands up to 65,536 in a bucket, and within 1 % beyond; they are
-- sets, so a day, a group or an account is uniqMerge over `rollup`, never a sum of these rows.
CREATE OR REPLACE VIEW clicks_hourly AS
SELECT owner AS account_id, domain, link_id, day, hour, sum(clicks) AS clicks, sum(bots) AS bots, uniqMerge(users) AS users
FROM rollup WHERE grain = 'link_hour'
GROUP BY account_id, domain, link_id, day, hour;

CREATE OR REPLACE VIEW clicks_hourly_by_account AS
SELECT owner AS account_id, day, hour, sum(clicks) AS clicks, sum(bots) AS bots, uniqMerge(users) AS users
FROM rollup WHERE grain = 'account_hour'
GROUP BY account_id, day, hour;

CREATE OR REPLACE VIEW clicks_daily AS
SELECT owner AS publisher_id, advertiser_id, network_id, day, sum(clicks) AS clicks, sum(bots) AS bots
FROM rollup WHERE grain = 'affiliate_day'
GROUP BY publisher_id, advertiser_id, network_id, day;

-- One source is one incarnation of a topic: a recreated topic, and the in-memory broker at every start, is a new one.
CREATE TABLE IF NOT EXISTS sources
(
    source UInt32,
    cluster_id String,
    topic String,
    topic_id String,
    first_seen DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY source;

-- Records of the log by what became of them: over all reasons they add up to the watermark less the start.
CREATE OR REPLACE VIEW ledger AS
SELECT source, partition, reason, sum(records) AS records, sum(events) AS events, sum(unverified) AS unverified
FROM rollup WHERE grain = 'ledger'
GROUP BY source, partition, reason;

CREATE OR REPLACE VIEW watermarks AS
SELECT source, partition, maxIf(r.next, grain = 'watermark') AS next, max(r.as_of) AS as_of,
    maxIf(r.next, grain = 'fence') AS epoch
FROM rollup AS r WHERE grain IN ('watermark', 'fence')
GROUP BY source, partition;

-- What partitions remember to tell duplicates and repeats: keys of a batch by the log's time, written before its
-- clicks. The next owner of a partition reads those of applied batches; workers drop what is older than the horizon.
CREATE TABLE IF NOT EXISTS seen
(
    source UInt32,
    partition UInt16,
    end_offset UInt64,
    kind Enum8('id' = 1, 'repeat' = 2),
    generation UInt32,
    keys Array(UInt64) CODEC(NONE)
)
ENGINE = MergeTree
PARTITION BY (source, generation)
ORDER BY (partition, end_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
