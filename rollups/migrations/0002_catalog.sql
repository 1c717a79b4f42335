-- Small tables that the admin calls write. The newest version of a key wins; read them with FINAL.
CREATE TABLE IF NOT EXISTS accounts
(
    account_id UInt64,
    name String,
    plan LowCardinality(String),
    time_zone LowCardinality(String),
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY account_id;

CREATE TABLE IF NOT EXISTS links
(
    account_id UInt64,
    domain String,
    link_id String,
    grp_idx UInt64,
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account_id, domain, link_id);

CREATE TABLE IF NOT EXISTS groups
(
    account_id UInt64,
    grp_idx UInt64,
    name String,
    created_at DateTime('UTC') DEFAULT now(),
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account_id, grp_idx);

CREATE TABLE IF NOT EXISTS publishers
(
    publisher_id UInt64,
    name String,
    time_zone LowCardinality(String),
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY publisher_id;

CREATE TABLE IF NOT EXISTS advertisers
(
    advertiser_id UInt64,
    name String,
    slug String,
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY advertiser_id;

CREATE TABLE IF NOT EXISTS networks
(
    network_id UInt64,
    name String,
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY network_id;

-- Keys are stored as SHA-256 of their random 256 bits; the key itself is shown once, when it is made.
CREATE TABLE IF NOT EXISTS api_keys
(
    id String,
    hash FixedString(64),
    role LowCardinality(String),
    publisher_id Nullable(UInt64),
    account_id Nullable(UInt64),
    name String,
    created_at DateTime('UTC'),
    expires_at Nullable(DateTime('UTC')),
    revoked_at Nullable(DateTime('UTC')),
    version DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id;
