/** The explorer and the saved queries. */
export { ExplorePage } from "./explore.tsx";
export { SavedPage } from "../saved.tsx";
