//! The expiry calendar: whatever lapses, when, and what to do about it.

use envelope::trust::KeyMaterial;
use model::{Seconds, UnixTime};
use pki::{CaCertificate, PersonCertificate};
use protocol::operator::{FleetSummary, Page, Person, path};

use crate::{
    App, Error,
    command::{FleetExpiries, Handle},
    dto::{Expiry, Nothing, Urgency},
};

/// When people are told first, and when it presses.
const SOON: Seconds = Seconds::days(90);
const URGENT: Seconds = Seconds::days(30);

impl Handle<FleetExpiries> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<Expiry>, Error> {
        let now = self.now();
        let session = self.session().await?;
        let mut calendar = Calendar { rows: Vec::new(), now };
        let mut add = |what: String, expires_at, remedy: &str| calendar.add(what, expires_at, remedy);
        match self.trust().await {
            Ok(trust) => {
                add(
                    "the root metadata".into(),
                    trust.state.root().signed().expires,
                    "`fleetseal fleet change renew-root`",
                );
                add(
                    "the targets metadata".into(),
                    trust.targets.targets_expire(),
                    "`fleetseal request renew`",
                );
                for key in trust.keys.entries() {
                    let remedy = match key.material {
                        KeyMaterial::Root { .. } => {
                            "list the next X.509 root with `fleetseal fleet change list-root`"
                        }
                        KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) => {
                            "`fleetseal fleet change scope`, or let it go"
                        }
                    };
                    let what = format!("the {} key {} of {}", key.role.as_str(), key.id(), key.holder);
                    add(what, key.scope.not_after, remedy);
                }
            }
            // Lapsed metadata is what this calendar is there to tell.
            Err(_) => {
                let told: FleetSummary = self.summary().await?;
                add(
                    "the root metadata, as the backend says".into(),
                    told.root_expires_at,
                    "`fleetseal fleet change renew-root`",
                );
                add(
                    "the targets metadata, as the backend says".into(),
                    told.targets_expire_at,
                    "`fleetseal request renew`",
                );
            }
        }
        let membership = &session.membership;
        for der in membership.issuing_cas.iter().chain([&membership.ca_root]) {
            let ca = CaCertificate::parse(der)?;
            let what = format!("the CA {}", ca.certificate().spki_digest());
            add(what, ca.certificate().not_after(), "issue a new one under the root");
        }
        let mine = PersonCertificate::parse(&membership.certificate)?;
        add(
            "your own certificate".into(),
            mine.certificate().not_after(),
            "`fleetseal fleet renew-person`, by who holds the CA for people",
        );
        // Only admins and auditors may see everybody.
        if let Ok(people) = session.client.get::<Vec<Person>>(path::PEOPLE).await {
            for person in
                people.iter().filter(|person| person.revoked_at.is_none() && person.name != membership.holder)
            {
                let certificate =
                    person.certificate.as_ref().and_then(|der| PersonCertificate::parse(der).ok());
                if let Some(certificate) = certificate {
                    add(
                        format!("the certificate of {}", person.name),
                        certificate.certificate().not_after(),
                        "`fleetseal fleet renew-person`",
                    );
                }
            }
        }
        if let Some(expires) = self.summary().await?.server_certificate_expires_at {
            add("the backend's certificate".into(), expires, "`fleetseal fleet renew-server`");
        }
        Ok(Page { rows: calendar.in_order(), next: None })
    }
}

/// What lapses, as of now.
struct Calendar {
    rows: Vec<Expiry>,
    now: UnixTime,
}

impl Calendar {
    /// Puts it in, unless it holds for good.
    fn add(&mut self, what: String, expires_at: UnixTime, remedy: &str) {
        if expires_at < NEVER {
            let urgency = urgency(expires_at, self.now);
            self.rows.push(Expiry { what, expires_at, urgency, remedy: remedy.to_owned() });
        }
    }

    /// What lapses first comes first.
    fn in_order(mut self) -> Vec<Expiry> {
        self.rows.sort_by_key(|row| row.expires_at);
        self.rows
    }
}

/// What X.509 and the trust keys write for "for good" (RFC 5280, section 4.1.2.5): the year 9999.
const NEVER: UnixTime = UnixTime::from_secs(253_000_000_000);

fn urgency(expires_at: UnixTime, now: UnixTime) -> Urgency {
    if expires_at <= now {
        Urgency::Lapsed
    } else if expires_at <= now + URGENT {
        Urgency::Urgent
    } else if expires_at <= now + SOON {
        Urgency::Soon
    } else {
        Urgency::Later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_ninety_and_thirty_days_before() {
        let now = UnixTime::from_secs(1_800_000_000);
        let day = Seconds::days(1);
        for (expires_at, expected) in [
            (now, Urgency::Lapsed),
            (now + day, Urgency::Urgent),
            (now + URGENT, Urgency::Urgent),
            (now + URGENT + day, Urgency::Soon),
            (now + SOON, Urgency::Soon),
            (now + SOON + day, Urgency::Later),
        ] {
            assert_eq!(urgency(expires_at, now), expected, "{expires_at}");
        }
    }

    #[test]
    fn what_lapses_first_comes_first_and_what_holds_for_good_is_in_no_calendar() {
        let now = UnixTime::from_secs(1_800_000_000);
        let fleet = testkit::Fleet::of_one(now);
        let mut calendar = Calendar { rows: Vec::new(), now };
        // The year 9999 as certificates write it, and as trust keys do.
        let root = CaCertificate::parse(&fleet.ca_root()).unwrap();
        calendar.add("the X.509 root".into(), root.certificate().not_after(), "");
        calendar.add("a key without an end".into(), UnixTime::MAX, "");
        for (what, days) in [("later", 400), ("lapsed", -1), ("soon", 60), ("urgent", 3)] {
            let at = UnixTime::from_secs(now.as_secs().saturating_add_signed(days * 86_400));
            calendar.add(what.into(), at, "renew it");
        }
        let rows: Vec<_> = calendar.in_order().into_iter().map(|row| (row.what, row.urgency)).collect();
        let expected = [
            ("lapsed", Urgency::Lapsed),
            ("urgent", Urgency::Urgent),
            ("soon", Urgency::Soon),
            ("later", Urgency::Later),
        ];
        assert_eq!(rows, expected.map(|(what, urgency)| (what.to_owned(), urgency)));
    }
}
