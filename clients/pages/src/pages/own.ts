/** The pages of a person, which belong to no project. */
export { AccountPage } from "./account/account.tsx";
export { PeoplePage } from "./people/people.tsx";
