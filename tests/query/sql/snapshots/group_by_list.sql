-- asked: count {"event_collection": "files", "group_by": ["tags"]}

-- the results of each group
SELECT "$number0", "$big0", "$string0", "$boolean0", count(*)
-- one row for each element of a list
FROM (SELECT *
-- the events of the timeframe
FROM (
-- stored in files
SELECT "tags" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "tags" FROM read_parquet(?, hive_partitioning=false)))
LEFT JOIN (
-- each different list, taken apart once
SELECT "$list0", "$element".number AS "$number0", "$element".big AS "$big0", "$element".string AS "$string0", "$element".boolean AS "$boolean0" FROM (SELECT "$list0", unnest((CASE WHEN "$list0" IS NULL OR json_array_length("$list0") = 0 THEN [NULL] ELSE list_distinct(list_transform(json_extract("$list0", '$[*]'), lambda e: struct_pack(number := (CASE WHEN json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND NOT (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR)) THEN TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) END), big := (CASE WHEN json_type(e) IN ('UBIGINT', 'BIGINT', 'DOUBLE') AND (regexp_full_match(CAST(e AS VARCHAR), '-?[0-9]{16,}') AND coalesce(CAST(TRY_CAST(TRY_CAST(CAST(e AS VARCHAR) AS DOUBLE) AS BIGNUM) AS VARCHAR), '') <> CAST(e AS VARCHAR)) THEN CAST(e AS VARCHAR) END), string := (CASE json_type(e) WHEN 'VARCHAR' THEN e->>'$' END), boolean := (CASE CAST(e AS VARCHAR) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)))) END)) AS "$element" FROM (SELECT DISTINCT "tags" AS "$list0"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "tags" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "tags" FROM read_parquet(?, hive_partitioning=false))))) ON "tags" = "$list0"
GROUP BY 1, 2, 3, 4
LIMIT 1000001

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
