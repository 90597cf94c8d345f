import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "../theme/look.css";
import "../theme/contrast.css";
import "./vault.css";
import type { Ceremony } from "@/generated/Ceremony";
import type { VaultStatus } from "@/generated/VaultStatus";
import { hashLines } from "@/parts/units";
import { CallError } from "@/platform/platform";
import { sheet } from "@/theme/tokens";
import { de } from "@/words/de";
import { en } from "@/words/en";
import { fr } from "@/words/fr";
import { nl } from "@/words/nl";
import { glyph, h, seal } from "./dom";
import { host } from "./host";

/* The vault window (E0). Secrets are typed here and nowhere else; what is shown of a release was read by Rust from the
   bytes that will be signed. No third-party code runs on this page. */

const tables = { en, de, fr, nl };
type Key = keyof typeof en;
const language = localStorage.getItem("fleetseal-language") ?? navigator.language.slice(0, 2);
const words: Record<Key, string> = tables[language as keyof typeof tables] ?? en;
const t = (key: Key, values: Record<string, string | number> = {}): string =>
  words[key].replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name] ?? ""));

const call = host();
const page = document.getElementById("vault") as HTMLElement;

function dress(): void {
  const style = new CSSStyleSheet();
  style.replaceSync(sheet());
  document.adoptedStyleSheets = [style];
  tint();
  for (const wish of ["(prefers-color-scheme: light)", "(prefers-contrast: more)"]) matchMedia(wish).addEventListener("change", tint);
  document.documentElement.lang = language in tables ? language : "en";
  document.title = `${t("place.vault")} · Fleetseal`;
}

/** Light or dark, and how much contrast, as chosen in the settings or on this computer. */
function tint(): void {
  const settings = JSON.parse(localStorage.getItem("fleetseal-settings") ?? "{}");
  const light = settings.scheme === "light" || (settings.scheme !== "dark" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.mantineColorScheme = light ? "light" : "dark";
  if (settings.contrast === "more" || (settings.contrast !== "normal" && matchMedia("(prefers-contrast: more)").matches))
    document.documentElement.dataset.contrast = "more";
  else delete document.documentElement.dataset.contrast;
}

const button = (text: string, look: string, act: () => void): HTMLButtonElement => {
  const made = h("button", { type: "submit", class: `btn lg ${look}` }, text);
  made.addEventListener("click", (event) => {
    event.preventDefault();
    act();
  });
  return made;
};

const field = (id: string, label: string, secret: boolean): [HTMLElement, HTMLInputElement] => {
  const input = h("input", { id, class: "field lg", type: secret ? "password" : "text", autocomplete: "off", spellcheck: "false" });
  return [h("div", { class: "line" }, h("label", { for: id, class: "s12 t2" }, label), input), input];
};

const head = (status: VaultStatus | undefined): HTMLElement =>
  h(
    "header",
    { class: "vhead" },
    seal(status?.unlocked === true),
    h(
      "div",
      {},
      h("h1", {}, t(status ? (status.unlocked ? "vault.open1" : "vault.closed1") : "vault.create")),
      h("p", { class: "t2" }, status?.holder ?? t("vault.nonehere")),
    ),
  );

function refusal(error: unknown): HTMLElement {
  const known = error instanceof CallError ? error : new CallError("internal", String(error));
  return h(
    "div",
    { class: "note bad", role: "alert" },
    glyph("bad"),
    h(
      "span",
      { class: "grow" },
      h("b", {}, known.message),
      " ",
      h("span", { class: "mono t2" }, known.code),
      known.hint ? ` ${known.hint}` : "",
    ),
  );
}

/** Runs an order once; what went wrong stands above the button, and typed secrets are gone from the page either way. */
async function run(form: HTMLElement, order: () => Promise<void>): Promise<void> {
  form.querySelector('[role="alert"]')?.remove();
  for (const control of form.querySelectorAll("button")) control.disabled = true;
  try {
    await order();
  } catch (error) {
    form.prepend(refusal(error));
    shown = shown || "refused";
    for (const control of form.querySelectorAll("button")) control.disabled = false;
    form.querySelector("input")?.focus();
  }
}

function showCreate(): void {
  const form = h("form", { class: "vform" });
  const [holderLine, holder] = field("holder", t("vault.holder"), false);
  const [firstLine, first] = field("first", t("vault.passphrase"), true);
  const [againLine, again] = field("again", t("vault.again"), true);
  const make = () =>
    run(form, async () => {
      if (first.value !== again.value) throw new CallError("differ", t("vault.differ"));
      const passphrase = first.value;
      first.value = "";
      again.value = "";
      await call("vault.create", { holder: holder.value, passphrase, light: false });
      await show();
    });
  form.append(h("p", { class: "t2" }, t("vault.createwhy")), holderLine, firstLine, againLine, button(t("vault.create"), "primary", make));
  page.replaceChildren(head(undefined), form);
  holder.focus();
}

function showLocked(status: VaultStatus, waiting: Ceremony[], training: string | undefined): void {
  const form = h("form", { class: "vform" });
  const [line, passphrase] = field("passphrase", t("vault.passphrase"), true);
  const open = () =>
    run(form, async () => {
      const secret = passphrase.value;
      passphrase.value = "";
      await call("vault.unlock", { passphrase: secret });
      await show();
    });
  const open1 = button(t("vault.unlock"), "primary", open);
  form.append(line, open1, h("p", { class: "s12 t3" }, t("vault.rule")));
  if (training) form.prepend(h("p", { class: "t2" }, t("vault.training", { passphrase: training })));
  page.replaceChildren(head(status), ...waiting.map((ceremony) => paper(ceremony)), form);
  passphrase.focus();
}

const fact = (name: string, ...value: (Node | string)[]): HTMLElement[] => [h("dt", {}, name), h("dd", {}, ...value)];

/** What consent would be given to, written by Rust from the bytes, and the eight words to compare. */
function paper(ceremony: Ceremony, acts?: HTMLElement): HTMLElement {
  return h(
    "section",
    { class: "panel", "aria-labelledby": `read${ceremony.id}` },
    h(
      "div",
      { class: "ph" },
      h("span", { class: "step" }, "1"),
      h("h2", { id: `read${ceremony.id}` }, t("vault.asks")),
      h("span", { class: "grow" }),
      h("span", { class: "t3 s12 mono" }, ceremony.command),
    ),
    h(
      "div",
      { class: "pb" },
      h("p", { class: "say" }, ceremony.title),
      ceremony.training && h("p", { class: "t2" }, t("top.training")),
      h(
        "dl",
        { class: "kv" },
        ...ceremony.lines.flatMap((line) => fact(line.label.replaceAll("_", " "), h("span", { class: "wrap" }, line.value))),
      ),
    ),
    h(
      "div",
      { class: "ph ruled" },
      h("span", { class: "step" }, "2"),
      h("h2", {}, t("sign.words")),
      h("span", { class: "grow" }),
      h("span", { class: "t3 s12" }, t("sign.bits")),
    ),
    h(
      "div",
      { class: "pb" },
      h(
        "ol",
        { class: "words", "aria-label": t("sign.words") },
        ...ceremony.words.map((word, i) => h("li", {}, h("span", {}, String(i + 1)), word)),
      ),
      h("p", { class: "hash" }, ...hashLines(ceremony.digest.replace(/^sha256:/, "")).map((line) => h("span", { class: "block" }, line))),
    ),
    acts,
  );
}

function showSign(status: VaultStatus, waiting: Ceremony[]): void {
  const papers = waiting.map((ceremony) => {
    const form = h("form", { class: "pb vform ruled" });
    const decide = (name: "ceremony.give" | "ceremony.refuse") => () =>
      run(form, async () => {
        await call(name, { id: ceremony.id });
        await show();
      });
    form.append(
      h(
        "div",
        { class: "acts" },
        button(t("vault.refuse"), "danger", decide("ceremony.refuse")),
        button(t("vault.give"), "primary", decide("ceremony.give")),
      ),
      h("p", { class: "s12 t3" }, t("sign.checked")),
    );
    return paper(ceremony, form);
  });
  page.replaceChildren(head(status), ...papers, lockForm());
}

function lockForm(): HTMLElement {
  const form = h("form", { class: "vform" });
  const lock = () =>
    run(form, async () => {
      await call("vault.lock", {});
      await show();
    });
  form.append(button(t("vault.lock"), "strong", lock));
  return form;
}

function showOpen(status: VaultStatus): void {
  const test = h("form", { class: "vform" });
  const [fileLine, file] = field("file", t("vault.backupfile"), false);
  const [passLine, passphrase] = field("backup-passphrase", t("vault.passphrase"), true);
  const rehearse = () =>
    run(test, async () => {
      const secret = passphrase.value;
      passphrase.value = "";
      await call("vault.test_restore", { file: file.value, passphrase: secret });
      test.replaceChildren(h("div", { class: "note", role: "status" }, glyph("ok"), t("vault.restored")));
    });
  test.append(
    h("h2", {}, t("vault.test")),
    h("p", { class: "t2" }, t("vault.testwhy")),
    fileLine,
    passLine,
    button(t("vault.testnow"), "", rehearse),
  );
  page.replaceChildren(head(status), lockForm(), test);
}

/** What stands on the page, so that looking again disturbs nobody who types. */
let shown = "";

async function show(): Promise<void> {
  let status: VaultStatus;
  try {
    status = await call("vault.show", {});
  } catch (error) {
    if (error instanceof CallError && error.code === "not_found") {
      if (shown !== "create") showCreate();
      shown = "create";
      return;
    }
    shown = "";
    const early = error instanceof CallError && error.code === "precondition_failed";
    page.replaceChildren(early ? h("p", { class: "t2" }, t("vault.first")) : refusal(error));
    return;
  }
  try {
    const waiting = (await call("ceremony.list", {})).rows;
    const now = JSON.stringify([status.unlocked, status.holder, waiting.map((ceremony) => [ceremony.id, ceremony.digest])]);
    if (now === shown) return;
    shown = now;
    if (!status.unlocked) showLocked(status, waiting, (await call("host.show", {})).current?.passphrase);
    else if (waiting.length > 0) showSign(status, waiting);
    else showOpen(status);
  } catch (error) {
    page.replaceChildren(head(status), refusal(error));
  }
}

dress();
void show();
setInterval(() => void show(), 1000);
