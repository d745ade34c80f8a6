/*! Apache-2.0 */
function o(n,t,e=`${t}s`){return`${n.toLocaleString()} ${n===1?t:e}`}var r=["bytes","kB","MB","GB","TB","PB"];function i(n){let t=Math.min(Math.floor(Math.log10(Math.max(n,1))/3),r.length-1);return`${(n/1e3**t).toLocaleString(void 0,{maximumFractionDigits:t?1:0})} ${r[t]}`}export{o as a,i as b};
