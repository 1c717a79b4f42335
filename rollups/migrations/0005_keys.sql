-- A key's own limit, NULL for that of the settings.
ALTER TABLE api_keys ADD COLUMN IF NOT EXISTS requests_per_hour Nullable(UInt32) AFTER expires_at;

-- When keys were last used, as API processes and collectors note it once a minute.
CREATE TABLE IF NOT EXISTS key_uses
(
    id String,
    used_at SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY id;
