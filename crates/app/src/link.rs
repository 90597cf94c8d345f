//! The links' commands.

use model::{DeviceId, RolloutId, UnixTime};
use protocol::operator::{LinkRow, Page, path};
use serde::Serialize;

use crate::{
    App, Error,
    command::{Handle, LinkList, LinkReissue, LinkRevoke},
    dto::{Done, LinkName, ListLinks},
};

#[derive(Serialize)]
struct Query<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<RolloutId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_before: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    limit: u32,
}

impl Handle<LinkList> for App {
    async fn handle(&self, request: ListLinks) -> Result<Page<LinkRow>, Error> {
        let query = Query {
            state: request.state.map(model::LinkState::as_str),
            rollout: request.rollout,
            device: request.device,
            expires_before: request.expires_before,
            after: request.page.after.as_deref(),
            limit: request.page.rows(),
        };
        self.session().await?.client.query(path::LINKS, &query).await
    }
}

impl Handle<LinkRevoke> for App {
    async fn handle(&self, request: LinkName) -> Result<Done, Error> {
        self.session().await?.client.tell(&path::revoke_link(request.link), &()).await?;
        Ok(Done {})
    }
}

impl Handle<LinkReissue> for App {
    async fn handle(&self, request: LinkName) -> Result<Done, Error> {
        self.session().await?.client.tell(&path::reissue_link(request.link), &()).await?;
        Ok(Done {})
    }
}
