/** The settings of a project: one section at a time, which the address names. */
import type { ComponentType } from "preact";
import { useHere } from "../../context.ts";
import { mayManage } from "../../session.ts";
import { Empty } from "../../ui/states.tsx";
import { Audit } from "../people/audit.tsx";
import { Deletions } from "./erasing/deletions.tsx";
import { Exports } from "./exporting/exports.tsx";
import { FilesSection } from "./files.tsx";
import { Keys } from "./keys/keys.tsx";
import { ProjectSection } from "./organisation/project_section.tsx";
import { RetentionSection } from "./retention.tsx";
import { Usage } from "./usage.tsx";

export interface SectionProps {
  /** What follows the section's name in the address. */
  rest: string[];
}

const SECTIONS: readonly (readonly [name: string, label: string, section: ComponentType<SectionProps>])[] = [
  ["keys", "Keys", Keys],
  ["usage", "Usage and limits", Usage],
  ["deletions", "Deletions", Deletions],
  ["retention", "Retention", RetentionSection],
  ["files", "Files", FilesSection],
  ["exports", "Exports", Exports],
  ["audit", "Audit log", AuditSection],
  ["project", "Project", ProjectSection],
];

function AuditSection(_: SectionProps) {
  const { project } = useHere();
  return <Audit base={`/3.0/projects/${project.id}`} projects={[]} turn={0} />;
}

export function SettingsPage({ parts: [name = "keys", ...rest] }: { parts: string[] }) {
  const { project, to } = useHere();
  if (!mayManage(project)) {
    return (
      <Empty title="Only owners see this page">
        <p>Owners of a project manage its keys, its data and its limits.</p>
      </Empty>
    );
  }
  const found = SECTIONS.find(([known]) => known === name);
  const Section = found?.[2];
  return (
    <>
      <h1>Settings of {project.name}</h1>
      <nav class="sections" aria-label="Settings">
        {SECTIONS.map(([one, label]) => (
          <a key={one} href={to("settings", one)} aria-current={one === name ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      {Section ? (
        <Section key={rest.join("/")} rest={rest} />
      ) : (
        <Empty title="There is no such page">
          <p>The address may be misspelt.</p>
        </Empty>
      )}
    </>
  );
}
