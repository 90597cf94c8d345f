//! The links' commands.

use model::{DeviceId, RolloutId, UnixTime};
use protocol::operator::{LinkEvent, LinkFate, LinkRow, Page, path};
use serde::Serialize;

use crate::{
    App, Error,
    command::{Handle, LinkEvents, LinkList, LinkReissue, LinkRevoke},
    dto::{Done, LinkName, ListLinkEvents, ListLinks},
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
    descending: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    limit: u32,
}

#[derive(Serialize)]
struct EventQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<LinkFate>,
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
            descending: request.descending,
            after: request.page.after.as_deref(),
            limit: request.page.rows(),
        };
        self.session().await?.client.query(path::LINKS, &query).await
    }
}

impl Handle<LinkEvents> for App {
    async fn handle(&self, request: ListLinkEvents) -> Result<Page<LinkEvent>, Error> {
        let query = EventQuery {
            fate: request.fate,
            after: request.page.after.as_deref(),
            limit: request.page.rows(),
        };
        self.session().await?.client.query(path::LINK_EVENTS, &query).await
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
