-- asked: count {"event_collection": "files", "group_by": [{"property_name": "score", "ranges": [{"from": 0, "to": 1}, {"from": 1, "to": 2}, {"from": 2, "to": 3}, {"from": 3, "to": 4}, {"from": 4, "to": 5}, {"from": 5, "to": 6}, {"from": 6, "to": 7}, {"from": 7, "to": 8}, {"from": 8, "to": 9}, {"from": 9, "to": 10}, {"from": 10, "to": 11}, {"from": 11, "to": 12}, {"from": 12, "to": 13}, {"from": 13, "to": 14}, {"from": 14, "to": 15}, {"from": 15, "to": 16}, {"from": 16, "to": 17}, {"from": 17, "to": 18}, {"from": 18, "to": 19}, {"from": 19, "to": 20}]}]}

-- the results of each group
SELECT (CASE WHEN "score" IS NOT NULL THEN CAST(? AS INTEGER[])[list_reduce(CAST(? AS INTEGER[]), lambda place, step: CASE WHEN place + step <= 21 AND CAST(? AS DOUBLE[])[place + step] <= "score" THEN place + step ELSE place END, 0) + 1] END), count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY 1 ASC NULLS LAST
LIMIT 1000001

-- values:
-- [null, 0, 1, 2, 3, 4, 5, 6, 7, 8, … 22 in all]
-- [16, 8, 4, 2, 1]
-- [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, … 21 in all]
-- ["purchases/1.parquet", "purchases/2.parquet"]
