-- `crc` is that of a batch's last record, 0 in all other rows. In rollup, `tail` is the last record below the watermark,
-- with the time up to which the log had settled there: a claim looks whether the log still has it. `reached` takes the
-- place of `as_of`: each claim starts it anew, so that a time that a clock has got wrong does not stand for ever.
ALTER TABLE landing ADD COLUMN IF NOT EXISTS crc UInt32;

ALTER TABLE rollup ADD COLUMN IF NOT EXISTS tail SimpleAggregateFunction(max, Tuple(offset UInt64, settled DateTime64(3, 'UTC'), crc UInt32));

ALTER TABLE rollup ADD COLUMN IF NOT EXISTS reached SimpleAggregateFunction(max, Tuple(epoch UInt64, as_of DateTime64(3, 'UTC')));

-- The view of 0001 with the two new columns in place of `as_of`. It is never away: without it an insert would be
-- answered as done and be lost.
ALTER TABLE rollup_mv MODIFY QUERY
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
    maxIf((offset, log_time, crc), grain = 'watermark' AND crc != 0) AS tail,
    maxIf((epoch, log_time), grain = 'watermark' AND log_time > toDateTime64(0, 3, 'UTC')) AS reached
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

CREATE OR REPLACE VIEW watermarks AS
SELECT source, partition, maxIf(r.next, grain = 'watermark') AS next,
    if(max(r.reached).epoch > 0, max(r.reached).as_of, max(r.as_of)) AS as_of,
    maxIf(r.next, grain = 'fence') AS epoch, max(r.tail) AS tail
FROM rollup AS r WHERE grain IN ('watermark', 'fence')
GROUP BY source, partition;
