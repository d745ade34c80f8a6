-- asked: count {"event_collection": "files", "filters": [{"property_name": "ordered_at", "operator": "lt", "property_value": "2026-01-10T00:00:00+01:00"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- what filters compare in texts, read once
SELECT *, (CASE WHEN random() < 2 THEN (CASE WHEN length("ordered_at") BETWEEN 10 AND 64 AND regexp_full_match("ordered_at", '[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?') THEN (CASE WHEN epoch_us(TRY_CAST(translate("ordered_at", 't,z', 'T.Z') AS TIMESTAMPTZ)) BETWEEN -62135596800000000 AND 253402300799999999 THEN epoch_us(TRY_CAST(translate("ordered_at", 't,z', 'T.Z') AS TIMESTAMPTZ)) END) END) END) AS "$instant.ordered_at" FROM (
-- stored in files
SELECT "ordered_at" FROM read_parquet(?, hive_partitioning=false)))
-- that the filters keep
WHERE coalesce("$instant.ordered_at" < 1767999600000000, "ordered_at" < ?)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "2026-01-10T00:00:00+01:00"
