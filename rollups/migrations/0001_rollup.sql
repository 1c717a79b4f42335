-- The landing table keeps nothing: it is the shape of one insert. Every row is one click of a record, or stands
-- for offsets that hold none; `records` says how many offsets it accounts for (1: first row of its record,
-- 0: a further click of the same record, n: a gap of n offsets that the log no longer has).
CREATE TABLE IF NOT EXISTS landing
(
    source UInt32,
    partition UInt16,
    offset UInt64,
    epoch UInt64,
    expect UInt64,
    log_time DateTime64(3, 'UTC'),
    records UInt64,
    reason Enum8('counted' = 0, 'invalid' = 1, 'future' = 2, 'duplicate' = 3, 'repeat' = 4, 'bot' = 5, 'prefetch' = 6, 'gap' = 7),
    verified Bool,
    user UInt64,
    account_id UInt64,
    domain String,
    link_id String,
    link_day Date,
    link_hour UInt8,
    publisher_id UInt64,
    advertiser_id UInt64,
    network_id UInt64,
    affiliate_day Date
)
ENGINE = Null;

-- One physical table for every grain and for the delivery markers, without PARTITION BY: one insert is one part
-- and one rename, so all grains and the watermark change together or not at all.
-- ClickHouse reads and unpacks whole granules. A row of an account's hour may hold a set of 260 kB, which the
-- automatic sizing of granules overlooks, so that 8,192 of them were read to answer for 24.
CREATE TABLE IF NOT EXISTS rollup
(
    grain Enum8('watermark' = 1, 'fence' = 2, 'ledger' = 3, 'link_hour' = 4, 'account_hour' = 5, 'affiliate_day' = 6),
    owner UInt64,
    day Date,
    hour UInt8,
    domain String,
    link_id String,
    advertiser_id UInt64,
    network_id UInt64,
    source UInt32,
    partition UInt16,
    reason Enum8('counted' = 0, 'invalid' = 1, 'future' = 2, 'duplicate' = 3, 'repeat' = 4, 'bot' = 5, 'prefetch' = 6, 'gap' = 7),
    clicks SimpleAggregateFunction(sum, UInt64),
    bots SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64),
    records SimpleAggregateFunction(sum, UInt64),
    events SimpleAggregateFunction(sum, UInt64),
    unverified SimpleAggregateFunction(sum, UInt64),
    linked SimpleAggregateFunction(sum, UInt64),
    placed SimpleAggregateFunction(sum, UInt64),
    next SimpleAggregateFunction(max, UInt64),
    as_of SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PRIMARY KEY (grain, owner, day)
ORDER BY (grain, owner, day, hour, domain, link_id, advertiser_id, network_id, source, partition, reason)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- The query of this view is superseded: 0006_log.sql has the one in force.
-- Compare and set: a block commits only if each of its rows carries the newest epoch (fence) of its partition and
-- starts at its watermark. Markers are keyed by source, partition and kind, packed into one integer.
CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_mv TO rollup AS
WITH
    (
        SELECT maxMap(map(source * 131072 + partition * 2 + (grain = 'fence'), next))
        FROM rollup
        WHERE grain IN ('watermark', 'fence')
    ) AS markers
SELECT
    grain,
    multiIf(hourly, account_id, grain = 'affiliate_day', publisher_id, 0) AS owner,
    multiIf(hourly, link_day, grain = 'affiliate_day', affiliate_day, toDate(0)) AS day,
    if(hourly, link_hour, 0) AS hour,
    if(grain = 'link_hour', l.domain, '') AS domain,
    if(grain = 'link_hour', l.link_id, '') AS link_id,
    if(grain = 'affiliate_day', l.advertiser_id, 0) AS advertiser_id,
    if(grain = 'affiliate_day', l.network_id, 0) AS network_id,
    if(marker, l.source, 0) AS source,
    if(marker, l.partition, 0) AS partition,
    if(grain = 'ledger', l.reason, 'counted') AS reason,
    countIf(NOT marker AND l.reason = 'counted') AS clicks,
    countIf(NOT marker AND l.reason != 'counted') AS bots,
    uniqStateIf(user, hourly AND l.reason = 'counted' AND user != 0) AS users,
    sumIf(l.records, grain = 'ledger') AS records,
    countIf(grain = 'ledger' AND l.reason != 'gap') AS events,
    countIf(grain = 'ledger' AND l.reason = 'counted' AND NOT verified) AS unverified,
    countIf(grain = 'ledger' AND shown AND account_id > 0) AS linked,
    countIf(grain = 'ledger' AND shown AND publisher_id > 0) AS placed,
    maxIf(offset + 1, grain = 'watermark') AS next,
    maxIf(log_time, grain = 'watermark') AS as_of
FROM
(
    SELECT *, grain IN ('watermark', 'ledger') AS marker, grain IN ('link_hour', 'account_hour') AS hourly
    FROM
    (
        SELECT
            *,
            reason IN ('counted', 'bot', 'prefetch') AS shown,
            arrayJoin(CAST(arrayConcat(
                ['watermark', 'ledger'],
                if(shown AND account_id > 0, ['link_hour', 'account_hour'], []),
                if(shown AND publisher_id > 0, ['affiliate_day'], [])
            ) AS Array(Enum8('watermark' = 1, 'fence' = 2, 'ledger' = 3, 'link_hour' = 4, 'account_hour' = 5, 'affiliate_day' = 6)))) AS grain
        FROM landing
        WHERE throwIf(epoch != markers[source * 131072 + partition * 2 + 1], 'FENCED') = 0
          AND throwIf(expect != markers[source * 131072 + partition * 2], 'EXPECT') = 0
    )
) AS l
GROUP BY grain, owner, day, hour, domain, link_id, advertiser_id, network_id, source, partition, reason;
