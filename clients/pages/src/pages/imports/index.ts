/** The pages of imports, which are loaded together. */
export { ImportsPage } from "./imports.tsx";
export { ImportPage } from "./one.tsx";
