import { Menu, Modal } from "@mantine/core";
import { IconDots } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { ADMIN } from "@/app/host";
import { useMe } from "@/app/me";
import { bringVault } from "@/app/vault";
import type { Person } from "@/generated/Person";
import type { Role } from "@/generated/Role";
import { Button } from "@/parts/Button";
import { CardField, readCard } from "@/parts/CardField";
import { Danger } from "@/parts/Danger";
import { Empty, Failure, Listing } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { platform } from "@/platform";

const roles: Role[] = ["admin", "release_manager", "operator", "technician", "station", "auditor"];

/** Who belongs to the fleet and what they may do; joining, other roles, and the end of a membership. */
export function People() {
  const { t } = useTranslation();
  const me = useMe();
  const people = useAsk("fleet.people", {});
  const [adding, add] = useState(false);
  const [whose, setWhose] = useState<Person>();
  const [leaving, leave] = useState<Person>();
  return (
    <Panel
      title={t("keys.people")}
      note={people.data?.rows.length}
      tail={
        <Button size="sm" denied={me.denied(ADMIN)} onClick={() => add(true)}>
          {t("people.add")}
        </Button>
      }
    >
      <Listing answer={people} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("list.nomatch")}</Empty>}>
        {(page) => (
          <table className="lg">
            <colgroup>
              <col style={{ width: 150 }} />
              <col />
              <col style={{ width: 112 }} />
              <col style={{ width: 108 }} />
              <col style={{ width: 44 }} />
            </colgroup>
            <thead>
              <tr>
                <th>{t("keys.name")}</th>
                <th>{t("keys.roles")}</th>
                <th>{t("sign.keyname")}</th>
                <th>{t("col.state")}</th>
                <th>
                  <span className="sr">{t("people.acts")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {page.rows.map((person) => (
                <tr key={person.spki} className={person.revoked_at ? "gone" : ""}>
                  <td>{person.name}</td>
                  <td className="t2">{person.roles.map((role) => t(`role.${role}`)).join(", ")}</td>
                  <td className="mono t2">
                    {person.spki.slice(0, 4)}…{person.spki.slice(-4)}
                  </td>
                  <td>
                    <State kind={person.revoked_at ? "bad" : "ok"}>{t(person.revoked_at ? "device.revoked" : "device.valid")}</State>
                  </td>
                  <td className="r">
                    {!person.revoked_at && !me.denied(ADMIN) && (
                      <Menu position="bottom-end" width={220} transitionProps={{ duration: 0 }}>
                        <Menu.Target>
                          <button type="button" className="copybtn" aria-label={t("people.actsof", { who: person.name })}>
                            <IconDots className="copy" />
                          </button>
                        </Menu.Target>
                        <Menu.Dropdown>
                          <Menu.Item onClick={() => setWhose(person)}>{t("people.setroles")}</Menu.Item>
                          <Menu.Item className="c-bad" onClick={() => leave(person)}>
                            {t("people.remove")}
                          </Menu.Item>
                        </Menu.Dropdown>
                      </Menu>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Listing>
      <AddPerson open={adding} close={() => add(false)} />
      <Roles person={whose} close={() => setWhose(undefined)} />
      <Danger
        open={!!leaving}
        close={() => leave(undefined)}
        title={t("people.removetitle", { who: leaving?.name ?? "" })}
        act={t("people.removeact", { who: leaving?.name ?? "" })}
        ask={{ label: t("act.reason") }}
        preview={() => platform().call("fleet.remove_person_preview", { spki: leaving?.spki ?? "", reason: "" })}
        commit={(token, reason) =>
          platform()
            .call("fleet.remove_person", { request: { spki: leaving?.spki ?? "", reason }, token })
            .then(() => people.refetch())
        }
      />
    </Panel>
  );
}

function RoleTicks({ chosen, set }: { chosen: Role[]; set: (roles: Role[]) => void }) {
  const { t } = useTranslation();
  return (
    <fieldset className="ticks" aria-label={t("keys.roles")}>
      {roles.map((role) => (
        <label key={role} className="tickrow">
          <input
            type="checkbox"
            checked={chosen.includes(role)}
            onChange={() => set(chosen.includes(role) ? chosen.filter((one) => one !== role) : [...chosen, role])}
          />
          {t(`role.${role}`)}
        </label>
      ))}
    </fieldset>
  );
}

/** Makes somebody a member by their card: a certificate at once, their keys once key holders have signed. */
function AddPerson({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTranslation();
  const add = useOrder("fleet.add_person");
  const [text, setText] = useState("");
  const [chosen, choose] = useState<Role[]>(["operator"]);
  const [holder, setHolder] = useState(false);
  const card = readCard(text);
  const leave = () => {
    add.reset();
    setText("");
    close();
  };
  const run = async () => {
    const file = card && (await platform().pickFile(`${card.holder.toLowerCase().replaceAll(" ", "-")}.invitation`));
    if (!card || !file) return;
    add.mutate({ card, roles: chosen, models: [], key_holder: holder, invitation: file }, { onSuccess: () => platform().handOver?.(file) });
    bringVault();
  };
  return (
    <Modal
      opened={open}
      onClose={leave}
      title={t("people.addtitle")}
      size={560}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      {add.data ? (
        <div className="form">
          <State kind="ok">{t("people.added", { who: add.data.person.name })}</State>
          <p className="t2">{t("people.handover")}</p>
          {add.data.change.requests.map((request) => (
            <Link key={request.id} to="/requests/$id" params={{ id: request.id }} className="link">
              {t("people.sign", { role: request.role, version: request.version })}
            </Link>
          ))}
        </div>
      ) : (
        <div className="form">
          <CardField text={text} set={setText} />
          <RoleTicks chosen={chosen} set={choose} />
          <label className="tickrow">
            <input type="checkbox" checked={holder} onChange={() => setHolder(!holder)} />
            {t("people.keyholder")}
          </label>
          {add.isPending && <State kind="warn">{t("sign.inwindow")}</State>}
          {add.error && <Failure error={add.error} />}
        </div>
      )}
      <div className="row acts">
        <span className="grow" />
        <Button size="lg" onClick={leave}>
          {t("act.close")}
        </Button>
        {!add.data && (
          <Button size="lg" look="primary" disabled={!card || chosen.length === 0 || add.isPending} onClick={run}>
            {t("people.addact", { who: card?.holder ?? t("people.member") })}
          </Button>
        )}
      </div>
    </Modal>
  );
}

function Roles({ person, close }: { person?: Person; close: () => void }) {
  const { t } = useTranslation();
  const give = useOrder("fleet.set_roles");
  const [chosen, choose] = useState<Role[]>([]);
  useEffect(() => choose(person?.roles ?? []), [person]);
  return (
    <Modal
      opened={!!person}
      onClose={close}
      title={t("people.rolesof", { who: person?.name ?? "" })}
      size={440}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      <RoleTicks chosen={chosen} set={choose} />
      <p className="t3 s12">{t("people.rolesnote")}</p>
      {give.error && <Failure error={give.error} />}
      <div className="row acts">
        <span className="grow" />
        <Button size="lg" onClick={close}>
          {t("act.keep")}
        </Button>
        <Button
          size="lg"
          look="primary"
          disabled={chosen.length === 0 || give.isPending}
          onClick={() => person && give.mutate({ spki: person.spki, roles: chosen }, { onSuccess: close })}
        >
          {t("people.giveroles")}
        </Button>
      </div>
    </Modal>
  );
}
