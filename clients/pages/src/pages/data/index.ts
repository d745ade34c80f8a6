/** The pages of collections and their events. */
export { CollectionPage } from "./collection.tsx";
export { DataPage } from "./data.tsx";
export { LivePage } from "./live.tsx";
