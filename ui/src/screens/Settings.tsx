import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { useSettings } from "@/app/host";
import { Button } from "@/parts/Button";
import { useOffset } from "@/parts/clock";
import { Empty, Failure, Listing } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { type Key, type Language, languageNames, speak } from "@/words";

/** E4: connection, workspaces, language, look. */
export function Settings() {
  const { t, i18n } = useTranslation();
  const settings = useSettings();
  const go = useNavigate();
  const workspaces = useAsk("workspace.list", {});
  const open = useOrder("workspace.switch");
  const offset = useOffset((state) => state.offset);
  const status = useAsk("view.status", {});
  const choice = <T extends string>(name: Key, values: readonly T[], on: T, words: (value: T) => string, set: (value: T) => void) => (
    <div className="item two">
      <span className="grow" id={`set-${name}`}>
        {t(name as "settings.theme")}
      </span>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would draw its own box */}
      <div className="seg" role="group" aria-labelledby={`set-${name}`}>
        {values.map((value) => (
          <button key={value} type="button" aria-pressed={value === on} onClick={() => set(value)}>
            {words(value)}
          </button>
        ))}
      </div>
    </div>
  );
  return (
    <>
      <Head title={t("place.settings")} meta={[t("settings.about")]} />
      <div className="body scroll">
        <div className="two-col">
          <div className="stack">
            <Panel title={t("settings.look")}>
              {choice(
                "settings.theme",
                ["system", "dark", "light"] as const,
                settings.scheme,
                (value) => t(`settings.${value}`),
                (scheme) => settings.set({ scheme }),
              )}
              {choice(
                "settings.contrast",
                ["system", "normal", "more"] as const,
                settings.contrast,
                (value) => t(`settings.${value}`),
                (contrast) => settings.set({ contrast }),
              )}
              {choice(
                "settings.density",
                ["normal", "compact"] as const,
                settings.compact ? "compact" : "normal",
                (value) => t(`settings.${value}`),
                (value) => settings.set({ compact: value === "compact" }),
              )}
              {choice(
                "settings.language",
                Object.keys(languageNames) as Language[],
                i18n.language as Language,
                (value) => languageNames[value],
                (value) => void speak(value),
              )}
            </Panel>
            <Panel
              title={t("settings.workspaces")}
              tail={
                <Button size="sm" onClick={() => go({ to: "/first-run" })}>
                  {t("settings.addworkspace")}
                </Button>
              }
            >
              {open.error && <Failure error={open.error} />}
              <Listing
                answer={workspaces}
                rows={2}
                isEmpty={(page) => page.rows.length === 0}
                empty={<Empty>{t("settings.noworkspace")}</Empty>}
              >
                {(page) =>
                  page.rows.map((row) => {
                    const on = row.current;
                    return (
                      <div key={row.name} className="item two">
                        <span className="grow">
                          {row.name}
                          <span className="t3 s12 block">{t(`workspace.${row.kind}`)}</span>
                        </span>
                        {on ? (
                          <State kind="ok">{t("settings.openhere")}</State>
                        ) : (
                          <Button size="sm" onClick={() => open.mutate({ name: row.name })}>
                            {t("settings.switch")}
                          </Button>
                        )}
                      </div>
                    );
                  })
                }
              </Listing>
            </Panel>
          </div>
          <Panel
            title={t("settings.connection")}
            tail={
              <Button size="sm" onClick={() => status.refetch()}>
                {t("settings.testconnection")}
              </Button>
            }
          >
            <Listing answer={status}>
              {(said) => (
                <div className="pb">
                  <Facts
                    wide={104}
                    rows={[
                      [t("settings.backend"), said.backend],
                      [
                        t("col.state"),
                        <State key="s" kind={said.connection === "connected" ? "ok" : said.connection === "connecting" ? "run" : "bad"}>
                          {t(`connection.${said.connection}`)}
                        </State>,
                      ],
                      [t("settings.since"), <Age key="a" at={said.since} />],
                      [t("settings.person"), said.person],
                      [t("keys.roles"), said.roles.map((role) => t(`role.${role}`)).join(", ")],
                      [t("settings.offset"), `${(offset / 1000).toFixed(2)} s`],
                    ]}
                  />
                </div>
              )}
            </Listing>
          </Panel>
        </div>
      </div>
    </>
  );
}
