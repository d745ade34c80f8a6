/** The pages of dashboards. */
export { DashboardPage } from "./dashboard.tsx";
export { DashboardsPage } from "./list.tsx";
