-- asked: count {"event_collection": "files", "filters": [{"property_name": "tags", "operator": "eq", "property_value": ["new", 1, null]}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- what filters compare in texts, read once
SELECT *, (CASE WHEN random() < 2 THEN list_transform(json_extract("tags", '$[*]'), lambda e: (CASE WHEN json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND NOT (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR)) THEN TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) END)) END) AS "$numbers.tags", (CASE WHEN random() < 2 THEN list_transform(json_extract("tags", '$[*]'), lambda e: (CASE json_type(e) WHEN 'VARCHAR' THEN e->>'$' END)) END) AS "$strings.tags", (CASE WHEN random() < 2 THEN list_transform(json_extract("tags", '$[*]'), lambda e: (CASE WHEN json_type(e) = 'VARCHAR' OR (json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND NOT (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR))) THEN NULL ELSE CAST(e AS VARCHAR) END)) END) AS "$rest.tags" FROM (
-- stored in files
SELECT "tags" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "tags" FROM read_parquet(?, hive_partitioning=false)))
-- that the filters keep
WHERE ("$numbers.tags" = CAST(? AS DOUBLE[]) AND "$strings.tags" = CAST(? AS VARCHAR[]) AND "$rest.tags" = CAST(? AS VARCHAR[]))

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- [null, 1.0, null]
-- ["new", null, null]
-- [null, null, "null"]
