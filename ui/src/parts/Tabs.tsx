import type { KeyboardEvent, ReactNode } from "react";

/** Tabs of a page; the chosen one stands in the address. Arrow keys move between them. */
export function Tabs<T extends string>({ tabs, on, set, label }: { tabs: [T, ReactNode][]; on: T; set: (tab: T) => void; label: string }) {
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    const at = tabs.findIndex(([id]) => id === on);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    set(next[0]);
    document.getElementById(`tab-${next[0]}`)?.focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map(([id, name]) => (
        <button
          key={id}
          id={`tab-${id}`}
          type="button"
          role="tab"
          aria-selected={id === on}
          aria-controls="tabpanel"
          tabIndex={id === on ? 0 : -1}
          onClick={() => set(id)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}
