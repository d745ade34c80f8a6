import { Acumen, job, outcome, tell } from "./client.mjs";

const client = new Acumen(job.client);
const report = {};
const of = async (name, promise) => (report[name] = await outcome(promise));
const all = async (iterable) => {
  const found = [];
  for await (const one of iterable) found.push(one);
  return found;
};
const { savedQueries, datasets, dashboards, accessKeys, collections, projects } = client;
const query = {
  analysis_type: "sum",
  event_collection: "purchases",
  target_property: "price",
  timeframe: job.timeframe,
};

await of("savePut", savedQueries.put("revenue", { query, metadata: { display_name: "Revenue" } }));
await of("saveGet", savedQueries.get("revenue"));
await of("saveList", savedQueries.list());
await of("saveResult", savedQueries.result("revenue"));
await of("saveDelete", savedQueries.delete("revenue"));
await of("saveGone", savedQueries.result("revenue"));

const dataset = { query: { ...query, interval: "daily" }, index_by: "country", display_name: "By country" };
await of("datasetMake", datasets.create("by-country", dataset));
await of("datasetList", all(datasets.list()));
await of("datasetGet", datasets.get("by-country"));
await of("datasetResults", datasets.results("by-country", { index_by: "PL" }));
await of("datasetDelete", datasets.delete("by-country"));

await of("dashboardPut", dashboards.put("sales", { widgets: [{ id: "w" }] }, { title: "Umsätze – 日本" }));
await of("dashboardGet", dashboards.get("sales"));
await of("dashboardTitle", dashboards.metadata("sales"));
await of("dashboardRename", dashboards.putMetadata("sales", { title: "Sales" }));
await of("dashboardList", dashboards.list());
await of("dashboardDelete", dashboards.delete("sales"));

const made = await accessKeys.create({ name: "Shop", permitted: ["queries"], options: {} });
await of("keyList", accessKeys.list());
await of("keyUpdate", accessKeys.update(made.key, { name: "Shop 2", permitted: ["queries", "schema"] }));
await of("keyRevoke", accessKeys.revoke(made.key));
await of("keyUnrevoke", accessKeys.unrevoke(made.key));
await of("keyGet", accessKeys.get(made.key));
await of("keyDelete", accessKeys.delete(made.key));

await of("schema", collections.get("purchases"));
await of("schemas", collections.list());
await of("profile", collections.profile("purchases", { property_names: ["price"], top: 1 }));
await of("property", collections.property("purchases", "user.id"));
await of("project", client.project());
await of("usage", client.usage());
await of("setRetention", collections.setRetention("visits", 400));
await of("retention", collections.retention("visits"));
await of("unsetRetention", collections.setRetention("visits", null));
await of("noRetention", collections.retention("visits"));

const { identities } = client;
client.identify("a-1", "zoe", { site: 1 });
client.track("views", { who: "a-1" });
await client.flush();
await of("actor", identities.get("a-1"));
await of("actors", identities.list({ limit: 5 }));
await of("actorEvents", identities.export("zoe", ["who"]));
await of("actorSplit", identities.revoke({ anonymous_id: "a-1", user_id: "zoe" }));
await of("actorErased", identities.erase("a-1", ["who"]));

const filters = [{ property_name: "user.id", operator: "eq", property_value: "ann" }];
await of(
  "update",
  collections.updateEvents(
    "visits",
    [{ property_name: "plan", property_value: "x", upsert_property: true }],
    { filters },
  ),
);
await of("deleteProperty", collections.deleteProperty("visits", "plan"));
await of("deleteSome", collections.deleteEvents("visits", { filters }));
await of("left", client.count("visits"));
await of("deleteAll", collections.deleteEvents("visits", "all"));
await of("deleteNothing", (async () => collections.deleteEvents("visits", {}))());

await of("projectMake", projects.create({ name: "Branch" }));
await of("projectList", projects.list());
const { id } = report.projectMake.answer;
await of("projectUpdate", projects.update(id, { name: "Other branch" }));
await of("projectGet", projects.get(id));
await of("projectUsage", projects.usage());
await of("projectDelete", projects.delete(id));
tell(report);
