-- beside profile dates

-- the texts that are dates
SELECT count("$0"), min("$0"), max("$0") FROM (SELECT (CASE WHEN length("plan") BETWEEN 10 AND 64 AND regexp_full_match("plan", '[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?') THEN (CASE WHEN epoch_us(TRY_CAST(translate("plan", 't,z', 'T.Z') AS TIMESTAMPTZ)) BETWEEN -62135596800000000 AND 253402300799999999 THEN epoch_us(TRY_CAST(translate("plan", 't,z', 'T.Z') AS TIMESTAMPTZ)) END) END) AS "$0"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))

-- values:
-- ["purchases/1.parquet"]
