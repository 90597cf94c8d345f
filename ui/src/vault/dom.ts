type Child = Node | string | undefined | false;

/** One element with attributes and children; text is text, never markup. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

const glyphs = { ok: "M2.75 8.6l3.4 3.4 7.1-7.8", bad: "M3.75 3.75l8.5 8.5M12.25 3.75l-8.5 8.5", idle: "M8 2.75a5.25 5.25 0 1 0 0.01 0z" };

/** A drawing of lines on a grid. */
export function svg(box: string, size: number, paths: { d: string; class?: string; width?: number }[], name = ""): SVGSVGElement {
  const ns = "http://www.w3.org/2000/svg";
  const root = document.createElementNS(ns, "svg");
  root.setAttribute("viewBox", box);
  root.setAttribute("width", String(size));
  root.setAttribute("height", String(size));
  root.setAttribute("class", name);
  root.setAttribute("aria-hidden", "true");
  for (const path of paths) {
    const line = document.createElementNS(ns, "path");
    line.setAttribute("d", path.d);
    if (path.class) line.setAttribute("class", path.class);
    if (path.width) line.setAttribute("stroke-width", String(path.width));
    root.append(line);
  }
  return root;
}

export const glyph = (kind: keyof typeof glyphs): SVGSVGElement => svg("0 0 16 16", 14, [{ d: glyphs[kind] }], `g ${kind}`);

const shares = ["M4.12 6.55L12.00 2.00L19.88 6.55", "M20.66 7.90L20.66 17.00L12.78 21.55", "M11.22 21.55L3.34 17.00L3.34 7.90"];
const core = "M12.00 7.80L15.64 9.90L15.64 14.10L12.00 16.20L8.36 14.10L8.36 9.90z";

/** The seal: closed when locked, the top share raised when open. */
export const seal = (raised: boolean): SVGSVGElement => {
  const drawing = svg(
    raised ? "0 -3 24 27" : "0 0 24 24",
    48,
    [...shares.map((d) => ({ d, class: "on", width: 1.9 })), { d: core, class: "core" }],
    "seal",
  );
  if (raised) drawing.firstElementChild?.setAttribute("transform", "translate(0 -3)");
  return drawing;
};
