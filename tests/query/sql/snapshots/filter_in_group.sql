-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "in_group", "property_value": "pro"}, {"property_name": "tags", "operator": "in_group", "property_value": null}, {"property_name": "score", "operator": "in_group", "property_value": 20, "buckets": {"size": 10}}, {"property_name": "price", "operator": "in_group", "property_value": "some", "ranges": [{"from": 1, "to": 9.5, "label": "some"}]}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "tags", "score", "price", "price:integer", "price:long" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", CAST(NULL AS VARCHAR) AS "tags", "score", "price", "price:integer", "price:long" FROM read_parquet(?, hive_partitioning=false))
-- that the filters keep
WHERE ("plan" = ? AND ((("tags" IS NOT NULL) IS NOT TRUE) OR ("tags" IS NOT NULL AND len(list_filter((CASE WHEN "tags" IS NULL OR json_array_length("tags") = 0 THEN [NULL] ELSE list_distinct(list_transform(json_extract("tags", '$[*]'), lambda e: struct_pack(number := (CASE WHEN json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND NOT (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR)) THEN TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) END), big := (CASE WHEN json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR)) THEN CAST(e AS VARCHAR) END), string := (CASE json_type(e) WHEN 'VARCHAR' THEN e->>'$' END), boolean := (CASE CAST(e AS VARCHAR) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)))) END), lambda v: v IS NULL OR (v.number IS NULL AND v.big IS NULL AND v.string IS NULL AND v.boolean IS NULL))) > 0)) AND (abs("score") < CAST(9007199254740992.0 AS DOUBLE) AND (CASE WHEN abs("score") < CAST(4503599627370496.0 AS DOUBLE) THEN (floor("score" / 10.0) * CAST(10.0 AS DOUBLE)) ELSE CAST(CAST(((CAST(replace(CAST(CAST(CAST("score" AS VARCHAR) AS DECIMAL(38, 3)) AS VARCHAR), '.', '') AS HUGEINT) - ((CAST(replace(CAST(CAST(CAST("score" AS VARCHAR) AS DECIMAL(38, 3)) AS VARCHAR), '.', '') AS HUGEINT) % CAST(10000 AS HUGEINT) + CAST(10000 AS HUGEINT)) % CAST(10000 AS HUGEINT))) // 1000) AS VARCHAR) || 'e-0' AS DOUBLE) END) = ?) AND (("price" IS NOT NULL AND "price" >= ? AND "price" < ?) OR ("price:integer" IS NOT NULL AND "price:integer" >= ? AND "price:integer" < ?) OR ("price:long" IS NOT NULL AND CAST("price:long" AS BIGNUM) >= CAST(? AS BIGNUM) AND CAST("price:long" AS BIGNUM) < CAST(? AS BIGNUM))))

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- "pro"
-- 20.0
-- 1.0
-- 9.5
-- 1
-- 10
-- "1"
-- "10"
