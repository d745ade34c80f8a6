/** What reads a collection, directly or by way of others, by kind. */
import type { ComponentChildren } from "preact";
import { useHere } from "../../context.ts";
import { useLoaded } from "../../loading.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { lineageOf, type Asset, type Kind, type Lineage, type Reader } from "./calls.ts";
import { KINDS } from "./words.ts";

const ORDER: Kind[] = ["pipeline", "saved_query", "dashboard", "cohort", "dataset", "alert", "report"];

/** The page of something; null where there is none. */
export function pageOf(to: (...parts: string[]) => string, { kind, name }: Asset): string | null {
  if (kind === "saved_query") return `${to("explore")}?saved=${encodeURIComponent(name)}`;
  const page = { collection: "data", pipeline: "pipelines", dashboard: "dashboards", cohort: "cohorts" }[kind as string];
  return page ? to(page, name) : null;
}

export function AssetLink({ asset, children }: { asset: Asset; children?: ComponentChildren }) {
  const { to, mayEdit } = useHere();
  const page = asset.kind === "pipeline" && !mayEdit ? null : pageOf(to, asset);
  return page ? <a class="name" href={page}>{children ?? asset.name}</a> : <span class="name">{children ?? asset.name}</span>;
}

/** Those of `readers` that read the collection themselves come first. */
export function ReaderList({ readers, collection }: { readers: Reader[]; collection: string }) {
  const reached = new Set(readers.flatMap(({ kind, name, into }) => [`${kind}/${name}`, `collection/${into}`]));
  const isDirect = ({ reads }: Reader) => reads.some(({ kind, name }) => kind === "collection" && name === collection);
  return (
    <>
      {ORDER.map((kind) => {
        const own = readers.filter((one) => one.kind === kind).sort((a, b) => Number(isDirect(b)) - Number(isDirect(a)));
        const [one, many] = KINDS[kind];
        return own.length > 0 && (
          <section key={kind} class="readers">
            <h3>{own.length.toLocaleString()} {own.length === 1 ? one : many}</h3>
            <ul class="list">
              {own.map((reader) => (
                <li key={reader.name}>
                  <div class="grow">
                    <AssetLink asset={reader}>{reader.title && kind !== "pipeline" ? reader.title : reader.name}</AssetLink>
                    <p class="small">
                      {isDirect(reader) ? "reads it directly" : `by way of ${reader.reads.filter((one) => reached.has(`${one.kind}/${one.name}`)).map(({ kind, name }) => `${KINDS[kind][0]} ${name}`).join(", ")}`}
                      {reader.into && `, fills ${reader.into}`}
                      {reader.owner && `, ${reader.owner}`}
                    </p>
                  </div>
                </li>
              ))}
            </ul>
          </section>
        );
      })}
    </>
  );
}

/** On a collection's page: what a change of it may touch. */
export function ReadersOf({ collection }: { collection: string }) {
  const { project } = useHere();
  const { value, error, reload } = useLoaded<Lineage>((signal) => lineageOf(project, collection, signal), [project, collection]);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="what reads it" lines={4} />;
  if (!value.readers.length) return <p>No definition names this collection. Programs may ask about it all the same, and SQL.</p>;
  return (
    <>
      <p class="lead">What a change of this collection may touch. Questions that nobody saved, and SQL, are not known.</p>
      <ReaderList readers={value.readers} collection={collection} />
    </>
  );
}
