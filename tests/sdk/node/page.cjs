// Automatic tracking by keen-tracking's build for browsers, in as much of a page as it looks at.
'use strict';

const { run } = require('./run.cjs');

const AGENT =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ' +
  'Version/17.1 Mobile/15E148 Safari/604.1';

function makePage() {
  const page = globalThis;
  page.window = page;
  page.self = page;
  page.document = {
    title: 'Tea',
    referrer: 'https://www.google.com/',
    cookie: '',
    documentElement: {},
    body: {},
    addEventListener() {},
    querySelector: () => null,
    querySelectorAll: () => [],
    getElementsByTagName: () => [],
  };
  page.location = { hostname: 'tea.example', href: 'https://tea.example/green?utm_source=mail#price' };
  page.navigator = { userAgent: AGENT, cookieEnabled: true, language: 'en', onLine: true, platform: 'iPhone' };
  page.screen = { width: 390, height: 844, availWidth: 390, availHeight: 844, colorDepth: 24, orientation: {} };
  page.innerWidth = 390;
  page.innerHeight = 844;
  page.addEventListener = () => {};
}

/** The answer to what is sent next. A browser says who it is in every request; Node is told to. */
function nextAnswer() {
  const send = globalThis.fetch;
  return new Promise((resolve, reject) => {
    globalThis.fetch = async (url, options) => {
      globalThis.fetch = send;
      const answer = await send(url, { ...options, headers: { ...options.headers, 'User-Agent': AGENT } });
      answer.clone().json().then(resolve, reject);
      return answer;
    };
  });
}

run((job) => {
  makePage();
  const KeenTracking = require('keen-tracking/dist/keen-tracking.js').default;
  const track = (options) => {
    const answer = nextAnswer();
    new KeenTracking({ ...job.client, requestType: 'fetch' }).initAutoTracking(options);
    return answer;
  };
  return {
    autoTracking: () => track({}),
    autoTrackingWithoutAddress: () => track({ collectIpAddress: false }),
  };
}).then(() => process.exit()); // a page lives on, with its timers
