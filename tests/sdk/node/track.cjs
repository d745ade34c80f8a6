// Every recording operation of keen-tracking on the server side.
'use strict';

const KeenTracking = require('keen-tracking');
const { run } = require('./run.cjs');

/** A promise of what a callback of the SDK is given. */
function called(start) {
  return new Promise((resolve, reject) => {
    start((error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

run((job) => {
  const client = new KeenTracking({ ...job.client, retry: { limit: 1, initialDelay: 10 } });
  const stranger = new KeenTracking({ ...job.client, writeKey: '0'.repeat(64) });
  return {
    recordEvent: () => client.recordEvent('js single', { n: 1, user: { id: 'ann' } }),
    recordEventAsObject: () => client.recordEvent({ collection: 'js single', event: { n: 2 } }),
    // The promise rejects as well when the callback is given an error; only one of the two is of interest.
    recordEventCallback: () => called((done) => client.recordEvent('js single', { n: 3 }, done)),
    recordEventUnique: () => client.recordEvent({ collection: 'js single', event: { n: 4 }, unique: true }),
    recordEventUniqueAgain: () => client.recordEvent({ collection: 'js single', event: { n: 4 }, unique: true }),
    recordEventWithSlash: () => client.recordEvent('js/slash and space', { n: 1 }),
    recordEventWithIndex: () =>
      client.recordEvent('js single', { n: 5, time: KeenTracking.helpers.getDatetimeIndex() }),
    recordEvents: () => client.recordEvents(job.events),
    recordEventsPartlyBad: () => client.recordEvents({ 'js verdicts': [{ good: 1 }, { $bad: 1 }] }),
    recordEventBad: () => client.recordEvent('js verdicts', { $bad: 1 }),
    recordEventWrongKey: () => stranger.recordEvent('js single', { n: 6 }),
    extendEvents: () => {
      const extended = new KeenTracking(job.client);
      extended.extendEvents({ app: { version: 3 } });
      extended.extendEvent('js extended', () => ({ page: 'home' }));
      return extended.recordEvent('js extended', { n: 1 });
    },
    deferEvents: () =>
      new Promise((resolve, reject) => {
        const deferring = new KeenTracking(job.client);
        deferring.on('recordDeferredEventsError', reject);
        const record = deferring.recordEvents;
        deferring.recordEvents = function recordEvents(events, callback) {
          return record.call(this, events, (error, answer) => {
            callback(error, answer);
            if (!error) resolve(answer);
          });
        };
        deferring.deferEvent('js deferred', { n: 1 });
        deferring.deferEvents({ 'js deferred': [{ n: 2 }, { n: 3 }] });
        deferring.recordDeferredEvents();
      }),
  };
});
