/*! Apache-2.0 */
import{g as t,p as n}from"./chunk-TODVAXPM.js";function o({title:e,children:r}){return t(()=>{document.title=`${e} · Acumen`},[e]),n("main",{class:"login",id:"main",children:[n("h1",{children:[n("img",{src:"/pages/icon.svg",alt:"",width:"36",height:"36"})," ",e]}),r]})}function l({children:e}){return n("p",{class:"fault",role:"alert",children:e})}export{o as a,l as b};
