/** The pages of those who manage a project, an organisation or the server. */
export { ServerPage } from "./server.tsx";
export { SettingsPage } from "./settings.tsx";
