/** The pages of pipelines, and what reads a collection. */
export { PipelinesPage } from "./list.tsx";
export { PipelinePage } from "./pipeline.tsx";
export { ReadersOf } from "./readers.tsx";
