/*! Apache-2.0 */
function r(n,c,o){let t=URL.createObjectURL(new Blob([o],{type:`${c};charset=utf-8`})),e=document.createElement("a");e.href=t,e.download=n,e.click(),setTimeout(()=>URL.revokeObjectURL(t),6e4)}export{r as a};
