/*! Apache-2.0 */
"use strict";(()=>{var n="0.1.0";globalThis.acumen={version:n};})();
