use app::{
    Error,
    command::{LinkEvents, LinkList, LinkReissue, LinkRevoke},
    dto::{LinkName, ListLinkEvents, ListLinks},
    model::LinkId,
};
use clap::Subcommand;

use crate::{
    Session,
    output::{bytes, table},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Links that are open now
    List {
        /// Go on after a page
        #[arg(long)]
        after: Option<String>,
    },
    /// What became of links, newest first
    Ended {
        /// Go on after a page
        #[arg(long)]
        after: Option<String>,
    },
    /// Take a link back
    Revoke {
        /// Its id
        link: LinkId,
    },
    /// Remake a link and push it
    Reissue {
        /// Its id
        link: LinkId,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List { after } => {
            let mut request = ListLinks::default();
            request.page.after = after;
            let page = app.run::<LinkList>(request).await?;
            output.result(&page, || {
                let mut rows = vec![
                    ["serial", "state", "issue", "expires", "served", "link"].map(str::to_owned).to_vec(),
                ];
                rows.extend(page.rows.iter().map(|row| {
                    vec![
                        row.serial.to_string(),
                        row.state.as_str().to_owned(),
                        row.issue.to_string(),
                        row.expires_at.to_string(),
                        format!("{} of {}", bytes(row.served_bytes), bytes(row.total_bytes)),
                        row.id.to_string(),
                    ]
                }));
                let more =
                    page.next.as_ref().map_or_else(String::new, |next| format!("more: --after {next}\n"));
                table(&rows) + &more
            });
        }
        Verb::Ended { after } => {
            let mut request = ListLinkEvents::default();
            request.page.after = after;
            let page = app.run::<LinkEvents>(request).await?;
            output.result(&page, || {
                let mut rows =
                    vec![["at", "serial", "became", "links", "rollout"].map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|row| {
                    vec![
                        row.at.to_string(),
                        row.serial.as_ref().map_or_else(String::new, ToString::to_string),
                        format!("{:?}", row.fate).to_lowercase(),
                        row.count.to_string(),
                        row.rollout.to_string(),
                    ]
                }));
                let more =
                    page.next.as_ref().map_or_else(String::new, |next| format!("more: --after {next}\n"));
                table(&rows) + &more
            });
        }
        Verb::Revoke { link } => {
            let done = app.run::<LinkRevoke>(LinkName { link }).await?;
            output.result(&done, || "revoked".to_owned());
        }
        Verb::Reissue { link } => {
            let done = app.run::<LinkReissue>(LinkName { link }).await?;
            output.result(&done, || "remade and pushed".to_owned());
        }
    }
    Ok(())
}
