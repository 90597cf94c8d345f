import type { ReactNode } from "react";

/** A panel with its head. No panel stands inside a panel. */
export const Panel = ({
  title,
  note,
  tail,
  children,
  grow,
}: {
  title?: ReactNode;
  note?: ReactNode;
  tail?: ReactNode;
  children: ReactNode;
  grow?: boolean;
}) => (
  <section className={`panel ${grow ? "grow" : ""}`}>
    {title !== undefined && (
      <div className="ph">
        <h2>{title}</h2>
        {note !== undefined && <span className="t3">{note}</span>}
        <span className="grow" />
        {tail}
      </div>
    )}
    {children}
  </section>
);

/** Label and value, line by line. */
export const Facts = ({ rows, wide }: { rows: [string, ReactNode][]; wide?: number }) => (
  <dl className="kv" style={wide ? { gridTemplateColumns: `${wide}px minmax(0, 1fr)` } : undefined}>
    {rows.map(([name, value]) => (
      <div key={name} className="contents">
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

/** The head of a page: title, state, one line of facts, acts at the right. */
export const Head = ({ title, state, meta, acts }: { title: ReactNode; state?: ReactNode; meta?: ReactNode[]; acts?: ReactNode }) => (
  <div className="head">
    <div className="grow">
      <div className="row gap12">
        <h1>{title}</h1>
        {state}
      </div>
      {meta && (
        <div className="meta">
          {meta.map((part, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one line keep their places
            <span key={i} className="row gap4">
              {i > 0 && <span className="dot" />}
              {part}
            </span>
          ))}
        </div>
      )}
    </div>
    {acts}
  </div>
);
