-- asked: count {"event_collection": "files", "filters": [{"property_name": "keen.location.coordinates", "operator": "within", "property_value": {"coordinates": [13.4, 52.5], "max_distance_miles": 10}}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- what filters compare in texts, read once
SELECT *, (CASE WHEN random() < 2 THEN (CASE WHEN json_type(json_extract("keen.location.coordinates", '$[0]')) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND isfinite(TRY_CAST(json_extract("keen.location.coordinates", '$[0]') AS DOUBLE)) THEN TRY_CAST(json_extract("keen.location.coordinates", '$[0]') AS DOUBLE) END) END) AS "$longitude.keen.location.coordinates", (CASE WHEN random() < 2 THEN (CASE WHEN json_type(json_extract("keen.location.coordinates", '$[1]')) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND isfinite(TRY_CAST(json_extract("keen.location.coordinates", '$[1]') AS DOUBLE)) THEN TRY_CAST(json_extract("keen.location.coordinates", '$[1]') AS DOUBLE) END) END) AS "$latitude.keen.location.coordinates" FROM (
-- stored in files
SELECT "keen.location.coordinates" FROM read_parquet(?, hive_partitioning=false)))
-- that the filters keep
WHERE ("$longitude.keen.location.coordinates" IS NOT NULL AND "$latitude.keen.location.coordinates" IS NOT NULL AND 3958.7613 * 2 * asin(sqrt(least(1.0, pow(sin(radians("$latitude.keen.location.coordinates" - ?) / 2), 2) + cos(radians(?)) * cos(radians("$latitude.keen.location.coordinates")) * pow(sin(radians("$longitude.keen.location.coordinates" - ?) / 2), 2)))) <= ?)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- 52.5
-- 52.5
-- 13.4
-- 10.0
