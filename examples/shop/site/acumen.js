// The snippet of docs/clients/javascript.md, as a file: the shop's Content-Security-Policy allows no script in pages.
// What differs between shops stands in the attributes of its tag.
{
  const { url, project, key, customer } = document.currentScript.dataset;
  window.acumen = window.acumen || ["init", "track", "set", "flush", "optOut", "optIn"].reduce((a, name) => {
    a[name] = (...values) => a.q.push([name, values, Date.now()]);
    return a;
  }, { q: [] });
  // `properties`, rather than `set` afterwards: the first page view has them, too.
  const properties = customer ? { customer: { id: customer } } : {};
  acumen.init({ url, projectId: project, writeKey: key, properties });
}
