-- beside partials merged

-- what was kept of files, merged

SELECT "$bucket", "$0.string", CAST(coalesce(sum("$rows"), 0) AS BIGINT) AS "$rows" FROM "$partials" WHERE "$distinct.user.id" IS NULL AND "$distinct.user.id:number" IS NULL AND "$quantile.2" IS NULL
GROUP BY 1, 2
UNION ALL BY NAME
SELECT "$bucket", "$0.string", "$distinct.user.id" FROM "$partials" WHERE "$rows" IS NULL AND "$distinct.user.id:number" IS NULL AND "$quantile.2" IS NULL
GROUP BY 1, 2, 3
UNION ALL BY NAME
SELECT "$bucket", "$0.string", "$distinct.user.id:number" FROM "$partials" WHERE "$rows" IS NULL AND "$distinct.user.id" IS NULL AND "$quantile.2" IS NULL
GROUP BY 1, 2, 3
UNION ALL BY NAME
SELECT "$bucket", "$0.string", "$quantile.2", CAST(sum("$quantile.2.n") AS BIGINT) AS "$quantile.2.n" FROM "$partials" WHERE "$rows" IS NULL AND "$distinct.user.id" IS NULL AND "$distinct.user.id:number" IS NULL
GROUP BY 1, 2, 3

-- values:
