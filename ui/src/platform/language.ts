/** Whether `Intl` takes this for the name of a language. */
export function known(language: string): boolean {
  try {
    new Intl.Locale(language);
    return true;
  } catch {
    return false;
  }
}

// WebKit calls the language "C" where the system has none, and packages hand that on to `Intl`, which throws.
if (!known(navigator.language)) Object.defineProperty(Navigator.prototype, "language", { get: () => "en", configurable: true });
