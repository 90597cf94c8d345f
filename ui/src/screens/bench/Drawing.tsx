/** A device as a drawing: a housing, a cable and what it carries. */
export const Drawing = ({ label }: { label: string }) => (
  <svg className="drawing" viewBox="0 0 120 120" role="img" aria-label={label}>
    <rect x="20" y="38" width="66" height="56" rx="6" />
    <rect x="30" y="48" width="46" height="20" rx="2" />
    <path className="ac" d="M34 62l7-7 7 5 9-9 9 7" />
    <circle cx="36" cy="82" r="3" />
    <circle cx="50" cy="82" r="3" />
    <circle cx="64" cy="82" r="3" />
    <path d="M32 94v10h42V94" />
    <path className="ac" d="M86 58h14V30" />
    <rect className="ac" x="94" y="14" width="12" height="16" rx="1.5" />
  </svg>
);
