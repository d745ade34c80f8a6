/** The page of one actor. */
export { ActorPage } from "./timeline.tsx";
