import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "../theme/look.css";
import "../theme/contrast.css";
import "./vault.css";
import type { Statement } from "@/generated/Statement";
import type { VaultStatus } from "@/generated/VaultStatus";
import { count, hashLines } from "@/parts/units";
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
const asked = new URLSearchParams(location.search).get("request") ?? undefined;

function dress(): void {
  const style = new CSSStyleSheet();
  style.replaceSync(sheet());
  document.adoptedStyleSheets = [style];
  const settings = JSON.parse(localStorage.getItem("fleetseal-settings") ?? "{}");
  const light = settings.scheme === "light" || (settings.scheme !== "dark" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.mantineColorScheme = light ? "light" : "dark";
  if (settings.contrast === "more" || (settings.contrast !== "normal" && matchMedia("(prefers-contrast: more)").matches))
    document.documentElement.dataset.contrast = "more";
  document.documentElement.lang = language in tables ? language : "en";
  document.title = `${t("place.vault")} · Fleetseal`;
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

function showLocked(status: VaultStatus, subject: Statement | undefined): void {
  const form = h("form", { class: "vform" });
  const [line, passphrase] = field("passphrase", t("vault.passphrase"), true);
  const open = () =>
    run(form, async () => {
      const secret = passphrase.value;
      passphrase.value = "";
      await call("vault.unlock", { passphrase: secret });
      await show();
    });
  form.append(line, button(t("vault.unlock"), "primary", open), h("p", { class: "s12 t3" }, t("vault.rule")));
  page.replaceChildren(head(status), ...(subject ? [paper(subject)] : []), form);
  passphrase.focus();
}

const fact = (name: string, ...value: (Node | string)[]): HTMLElement[] => [h("dt", {}, name), h("dd", {}, ...value)];

const marks = { added: ["+", "add"], removed: ["-", "del"], changed: ["±", ""] } as const;

/** What will be signed, read by Rust from the bytes, and the eight words to compare. */
function paper(subject: Statement): HTMLElement {
  const purpose = subject.reported?.purpose ?? "release";
  const lines = subject.changes.map((change) => {
    const [mark, look] = marks[change.kind];
    return h(
      "li",
      { class: look },
      h("span", {}, mark),
      h(
        "span",
        {},
        change.what,
        change.digest &&
          h("span", { class: "t3 hash block" }, ...hashLines(change.digest).map((line) => h("span", { class: "block" }, line))),
      ),
    );
  });
  return h(
    "section",
    { class: "panel", "aria-labelledby": "read" },
    h(
      "div",
      { class: "ph" },
      h("span", { class: "step" }, "1"),
      h("h2", { id: "read" }, t("sign.read")),
      h("span", { class: "grow" }),
      h("span", { class: "t3 s12" }, t("sign.canonical", { n: count(subject.length_bytes) })),
    ),
    h("ul", { class: "diff difflines" }, ...lines),
    h(
      "dl",
      { class: "kv pb" },
      ...fact(
        t("sign.metadata"),
        `${subject.role} ${subject.version}, ${t("sign.until", { day: subject.metadata_expires_at.slice(0, 10) })}`,
      ),
      ...fact(t("sign.reported"), t(`request.${purpose}`)),
      ...fact(t("col.author"), subject.author),
      ...fact(t("sign.reason"), subject.reason || "–"),
      ...fact(t("col.signatures"), t("sign.meter", { n: subject.signatures, total: subject.threshold })),
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
        ...subject.words.map((word, i) => h("li", {}, h("span", {}, String(i + 1)), word)),
      ),
    ),
  );
}

function showSign(status: VaultStatus, subject: Statement): void {
  const form = h("form", { class: "vform" });
  const tick = h("input", { type: "checkbox", id: "same" });
  const sign = () =>
    run(form, async () => {
      const after = await call("request.sign", { request: subject.request, digest: subject.digest });
      page.replaceChildren(
        head(status),
        h(
          "div",
          { class: "note", role: "status" },
          glyph("ok"),
          h("span", {}, t("sign.done", { name: `${subject.role} ${subject.version}`, n: after.signatures, total: after.threshold })),
        ),
        lockForm(),
      );
    });
  const act = button(t("release.sign", { version: `${subject.role} ${subject.version}` }), "primary", sign);
  act.disabled = true;
  tick.addEventListener("change", () => {
    act.disabled = !tick.checked;
  });
  form.append(h("label", { class: "tickrow", for: "same" }, tick, t("sign.same")), act, h("p", { class: "s12 t3" }, t("sign.checked")));
  page.replaceChildren(head(status), paper(subject), form);
  tick.focus();
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

async function show(): Promise<void> {
  let status: VaultStatus;
  try {
    status = await call("vault.show", {});
  } catch (error) {
    if (error instanceof CallError && error.code === "no_vault") return showCreate();
    page.replaceChildren(head(undefined), refusal(error));
    return;
  }
  try {
    const subject = asked ? await call("request.show", { request: asked }) : undefined;
    if (!status.unlocked) showLocked(status, subject);
    else if (subject) showSign(status, subject);
    else showOpen(status);
  } catch (error) {
    page.replaceChildren(head(status), refusal(error));
  }
}

dress();
void show();
