// Preloaded (node --require): the SDKs speak TLS to a host and never to a port. This sends what would go to
// port 443 to the port of the server under test; nothing of the SDKs is touched.
'use strict';

require('node:https').globalAgent.defaultPort = Number(process.env.ACUMEN_TEST_PORT);
