// Forms of questions and of cohorts share their fields: one file of both is smaller than two.
export { OwnForm } from "./explore/asking/index.tsx";
export { CohortPage } from "./cohorts/cohort.tsx";
export { CohortsPage } from "./cohorts/list.tsx";
