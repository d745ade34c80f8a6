/** The pages of those who manage a project, an organisation or the server. */
export { ExportsPage } from "./exporting/exports.tsx";
export { ProjectsPage } from "./organisation/projects.tsx";
export { ServerPage } from "./server.tsx";
export { SettingsPage } from "./settings.tsx";
