/** Every token of the look, by scheme. The application's theme and the vault window both take them from here. */

export type Scheme = "dark" | "light";
export type Tokens = Record<string, string>;

export const sizes: Tokens = {
  "font-ui": '"Inter Variable", "Inter", system-ui, "Segoe UI", sans-serif',
  "font-mono": '"JetBrains Mono Variable", "JetBrains Mono", ui-monospace, "Cascadia Mono", monospace',
  "r-1": "3px",
  "r-2": "4px",
  "r-3": "6px",
  "r-4": "8px",
  row: "28px",
  "row-lg": "32px",
  ctl: "28px",
  "t-fast": "90ms",
  "t-mid": "160ms",
  ease: "cubic-bezier(.2, 0, 0, 1)",
};

const dark = `bg-0 #090D10 bg-1 #111518 bg-2 #181D20 bg-3 #21282C line-1 #262D31 line-2 #394246 line-3 #677278
tx-1 #E6EAED tx-2 #ABB4B9 tx-3 #869095
ac-fg #5CC8D4 ac-solid #31A4AF ac-solid-h #53B9C4 ac-on #041012 ac-tint #0F272A ac-line #225054
ink #E6EAED ink-h #FFFFFF ink-on #0C1114
idle-fg #ADB8BD idle-fill #677278 idle-tint #212324 idle-line #44484B
run-fg #7DBAFE run-fill #3F86D1 run-tint #142436 run-line #2B4A6B
ok-fg #69CF89 ok-fill #4FB772 ok-tint #122919 ok-line #275235
warn-fg #ECA642 warn-fill #ECA642 warn-tint #2F1F0A warn-line #5F4117 warn-glyph #ECA642
bad-fg #FE938D bad-fill #D34445 bad-tint #391716 bad-line #70312F
pass #0B5A30 fail #7E1119`;

const light = `bg-0 #F3F6F7 bg-1 #FFFFFF bg-2 #F4F7F9 bg-3 #E7ECEE line-1 #DCE0E3 line-2 #C3CACE line-3 #778288
tx-1 #131B1F tx-2 #444F55 tx-3 #5E6A70
ac-fg #046972 ac-solid #05747D ac-solid-h #015B63 ac-on #FFFFFF ac-tint #E9F6F8 ac-line #B3D9DD
ink #1B2429 ink-h #000000 ink-on #FFFFFF
idle-fg #555E63 idle-fill #778288 idle-tint #F2F4F4 idle-line #CDD2D4
run-fg #0E5DA5 run-fill #216BB3 run-tint #ECF5FF run-line #B8D4F4
ok-fg #036F37 ok-fill #2E9A57 ok-tint #EAF8ED ok-line #B7DCBF
warn-fg #7E5104 warn-fill #B87800 warn-tint #FCF2E6 warn-line #E8CCA9 warn-glyph #B87800
bad-fg #AA1624 bad-fill #B3222B bad-tint #FEF0EE bad-line #FDBFBA
pass #0A6B39 fail #A5141F`;

const pairs = (text: string): Tokens => {
  const words = text.split(/\s+/);
  return Object.fromEntries(words.flatMap((name, i) => (i % 2 ? [] : [[name, words[i + 1] ?? ""]])));
};

export const colours: Record<Scheme, Tokens> = {
  dark: { ...pairs(dark), shadow: "0 8px 24px rgb(0 0 0 / .48), 0 0 0 1px #394246" },
  light: { ...pairs(light), shadow: "0 8px 24px rgb(19 27 31 / .14), 0 0 0 1px #C3CACE" },
};

/** As CSS custom properties: `--fs-bg-0` and so on. */
export const properties = (tokens: Tokens): Tokens =>
  Object.fromEntries(Object.entries(tokens).map(([name, value]) => [`--fs-${name}`, value]));

/** The whole sheet, for a page without a theme provider. */
export const sheet = (): string => {
  const block = (selector: string, tokens: Tokens) =>
    `${selector}{${Object.entries(properties(tokens))
      .map(([name, value]) => `${name}:${value}`)
      .join(";")}}`;
  return [
    block(":root", sizes),
    block(':root[data-mantine-color-scheme="dark"]', colours.dark),
    block(':root[data-mantine-color-scheme="light"]', colours.light),
  ].join("\n");
};
