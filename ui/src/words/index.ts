import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { de } from "./de";
import { en } from "./en";
import { fr } from "./fr";
import { nl } from "./nl";

declare module "i18next" {
  interface CustomTypeOptions {
    keySeparator: false;
    nsSeparator: false;
    resources: { translation: typeof en };
  }
}

/** Every text of the screens, by language. English is the measure: a test holds the others to its keys. */
export const languages = { en, de, fr, nl };
export type Language = keyof typeof languages;
export const languageNames: Record<Language, string> = { en: "English", de: "Deutsch", fr: "Français", nl: "Nederlands" };
export type Key = keyof typeof en;

const wished = localStorage.getItem("fleetseal-language") ?? navigator.language.slice(0, 2);

void i18next.use(initReactI18next).init({
  lng: wished in languages ? wished : "en",
  fallbackLng: "en",
  resources: Object.fromEntries(Object.entries(languages).map(([name, translation]) => [name, { translation }])),
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false },
});

/** Says every screen in another language, and remembers it on this computer. */
export const speak = async (language: Language): Promise<void> => {
  localStorage.setItem("fleetseal-language", language);
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
};

document.documentElement.lang = i18next.language;

export { i18next };
