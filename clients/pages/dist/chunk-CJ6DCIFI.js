/*! Apache-2.0 */
function r(t,o,e){c(t,new Blob([e],{type:`${o};charset=utf-8`}))}function c(t,o){let e=URL.createObjectURL(o),n=document.createElement("a");n.href=e,n.download=t,n.click(),setTimeout(()=>URL.revokeObjectURL(e),6e4)}export{r as a,c as b};
