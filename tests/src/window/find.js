// Everything on the page that a person sees under this role and name; a name that ends with an ellipsis begins so.
const [role, name, scope] = arguments;
const kinds = {
  button: "button, [role=button]",
  link: "a[href]",
  heading: "h1, h2, h3",
  field: "input, textarea, select",
  row: "[role=row]",
  option: "[role=option]",
  tab: "[role=tab]",
  dialog: "[role=dialog]",
  text: "*",
};
const tidy = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const named = (one) =>
  tidy(
    one.getAttribute("aria-label") ??
      (one.labels?.length ? one.labels[0].textContent : null) ??
      (role === "dialog" ? document.getElementById(one.getAttribute("aria-labelledby"))?.textContent : null) ??
      one.textContent,
  );
const matches = (text) => (name.endsWith("…") ? text.startsWith(name.slice(0, -1)) : text === name);
const seen = (one) => one.getClientRects().length > 0 && getComputedStyle(one).visibility !== "hidden";
const within = scope ? document.querySelector(scope) : document;
const all = within ? [...within.querySelectorAll(kinds[role])].filter((one) => seen(one) && matches(named(one))) : [];
return role === "text" ? all.filter((one) => !all.some((inner) => inner !== one && one.contains(inner))) : all;
