// Every asking operation of keen-analysis in Node.
'use strict';

const KeenAnalysis = require('keen-analysis');
const { run } = require('./run.cjs');

run((job) => {
  const client = new KeenAnalysis(job.client);
  const stranger = new KeenAnalysis({ ...job.client, readKey: '0'.repeat(64) });
  const get = (...path) => client.get({ url: client.url(...path), api_key: job.client.readKey });
  const getAsMaster = (...path) => client.get({ url: client.url(...path), api_key: job.client.masterKey });

  const saved = (name, more) => ({ url: client.url('queries', 'saved', ...name), api_key: job.client.masterKey, ...more });
  const put = (name, refreshRate, query) =>
    client.put(saved([name], { params: { refreshRate, query, metadata: { displayName: name } } }));
  const { timeframe } = job;
  const dataset = (name, more) => ({ url: client.url('datasets', ...name), api_key: job.client.masterKey, ...more });
  const prices = { analysisType: 'sum', eventCollection: 'purchases', targetProperty: 'price', timeframe, interval: 'daily' };

  const passing = (more) => ({ url: client.url('events', 'passing'), api_key: job.client.masterKey, ...more });
  const ones = [{ property_name: 'n', operator: 'eq', property_value: 1 }];

  const operations = {
    passingFirst: () => client.post(passing({ params: { n: 1 } })),
    passingSecond: () => client.post(passing({ params: { n: 2 } })),
    passingDelete: () => client.del(passing({ params: { filters: ones, timeframe: 'this_7_days', timezone: 'UTC' } })),
    passingLeft: () => client.query('select_unique', { event_collection: 'passing', target_property: 'n', timeframe: 'this_7_days' }),
    passingDeleteAll: () => client.del(passing()),
    passingGone: () => client.get(passing()),
    savePrices: () =>
      put('prices', 0, { analysisType: 'sum', eventCollection: 'purchases', targetProperty: 'price', timeframe }),
    saveCached: () =>
      put('by-day', 14400, { analysisType: 'count', eventCollection: 'purchases', timeframe, interval: 'daily' }),
    saveFunnel: () => put('funnel', 0, { analysisType: 'funnel', steps: job.steps }),
    saveBad: () => put('bad', 60, { analysisType: 'count', eventCollection: 'purchases', timeframe }),
    savedResult: () => client.query({ savedQueryName: 'prices' }),
    savedResultByType: () => client.query('saved', { savedQueryName: 'prices' }),
    cachedResult: () => client.query({ savedQueryName: 'by-day' }),
    funnelResult: () => client.query({ savedQueryName: 'funnel' }),
    missingResult: () => client.query({ savedQueryName: 'none' }),
    savedList: () => client.get(saved([])),
    savedDefinition: () => client.get(saved(['prices'])),
    savedDelete: () => client.del(saved(['funnel'])),
    savedListAfter: () => client.get(saved([])),
    datasetMake: () =>
      client.put(dataset(['prices'], { params: { query: prices, indexBy: ['country'], displayName: 'Prices' } })),
    datasetList: () => client.get(dataset([])),
    datasetDefinition: () => client.get(dataset(['prices'])),
    datasetResult: () => client.query({ datasetName: 'prices', indexBy: 'PL', timeframe }),
    datasetResultByType: () => client.query('dataset', { name: 'prices', indexBy: { country: 'PL' }, timeframe }),
    datasetDelete: () => client.del(dataset(['prices'])),
    datasetGone: () => client.query({ datasetName: 'prices', indexBy: 'PL', timeframe }),
    queryAsOneObject: () =>
      client.query({ analysisType: 'count', eventCollection: 'purchases', timeframe: job.timeframe }),
    queryObject: () => {
      const query = new KeenAnalysis.Query('count', { eventCollection: 'purchases', timeframe: job.timeframe });
      query.addFilter('country', 'eq', 'PL');
      return client.run(query);
    },
    runSeveral: () => {
      const parameters = { event_collection: 'purchases', timeframe: job.timeframe };
      return client.run([
        new KeenAnalysis.Query('count', parameters),
        new KeenAnalysis.Query('sum', { ...parameters, targetProperty: 'price' }),
      ]);
    },
    post: () =>
      client.post({
        url: client.url('queries', 'count'),
        api_key: job.client.readKey,
        params: { event_collection: 'purchases', timeframe: job.timeframe },
      }),
    getQuery: () =>
      client.get({
        url: client.url('queries', 'count'),
        api_key: job.client.readKey,
        params: { event_collection: 'purchases', timeframe: job.timeframe },
      }),
    metadata: () =>
      new KeenAnalysis({ ...job.client, includeMetadata: true }).query('count', {
        event_collection: 'purchases',
        timeframe: job.timeframe,
      }),
    schemas: () => get('events'),
    schema: () => get('events', 'purchases'),
    property: () => get('events', 'purchases', 'properties', 'user.id'),
    project: () => getAsMaster('projectId'),
    projects: () => getAsMaster('projects'),
    queries: () => get('queries'),
    version: () => getAsMaster('version'),
    missingSchema: () => get('events', 'nothing like it'.replaceAll(' ', '%20')),
    badTimeframe: () => client.query('count', { event_collection: 'purchases', timeframe: 'last_tuesday' }),
    missingProperty: () => client.query('sum', { event_collection: 'purchases', timeframe: job.timeframe }),
    wrongKey: () => stranger.query('count', { event_collection: 'purchases', timeframe: job.timeframe }),
  };
  job.questions.forEach(([name, analysis, parameters]) => {
    operations[name] = () => client.query(analysis, parameters);
  });
  return operations;
});
