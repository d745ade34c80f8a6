-- beside extents of numbers

-- how great the numbers of each file are
SELECT "$path", min("price"), max("price"), min(CASE WHEN "price" <> 0 THEN abs("price") END), bool_and("price" = trunc("price")) FROM read_parquet(?, hive_partitioning=false, filename='$path') GROUP BY 1

-- values:
-- ["purchases/1.parquet"]
