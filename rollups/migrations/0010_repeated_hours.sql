-- An hour that the clock repeats when it is set back has two rows, the second one at 32 and the hour. People see one.
CREATE OR REPLACE VIEW clicks_hourly AS
SELECT owner AS account_id, domain, link_id, day, r.hour % 32 AS hour, sum(r.clicks) AS clicks, sum(r.bots) AS bots,
    uniqMerge(r.users) AS users
FROM rollup AS r WHERE grain = 'link_hour'
GROUP BY account_id, domain, link_id, day, r.hour % 32;

CREATE OR REPLACE VIEW clicks_hourly_by_account AS
SELECT owner AS account_id, day, r.hour % 32 AS hour, sum(r.clicks) AS clicks, sum(r.bots) AS bots,
    uniqMerge(r.users) AS users
FROM rollup AS r WHERE grain = 'account_hour'
GROUP BY account_id, day, r.hour % 32;
