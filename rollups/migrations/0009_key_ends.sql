-- When keys end, as far as that was decided after they were made. The earliest counts, whoever wrote it and when: an
-- end can neither be taken back nor be overtaken by a row from a clock that is ahead.
CREATE TABLE IF NOT EXISTS api_key_ends
(
    id String,
    expires_at SimpleAggregateFunction(min, Nullable(DateTime('UTC'))),
    revoked_at SimpleAggregateFunction(min, Nullable(DateTime('UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY id;
