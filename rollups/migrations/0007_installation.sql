-- What belongs to this database for good. The first `event_id_key` is the one in use: event ids are remembered by their
-- hash under it. The last `visitor_secret` is the fingerprint of the secret that users are counted under.
CREATE TABLE IF NOT EXISTS installation
(
    name String,
    value String,
    created_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (name, created_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
