use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{PeerIdentity, ServerTls};

/// What one listener grants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long connections may take to finish after `shutdown`.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 100_000, handshake: Duration::from_secs(10), drain: Duration::from_secs(10) }
    }
}

/// Accepts connections until `shutdown`, shakes hands, and runs `handler` on each in a task of its own.
/// Then it waits for the handlers, which are told by the same token, and drops those that do not end
/// in time.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    limits: Limits,
    shutdown: CancellationToken,
    handler: H,
) where
    H: Fn(TlsStream<TcpStream>, PeerIdentity, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let tasks = TaskTracker::new();
    let overdue = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes the semaphore");
                (listener.accept().await, slot)
            } => accepted,
        };
        let (stream, address, slot) = match accepted {
            (Ok((stream, address)), slot) => (stream, address, slot),
            (Err(error), _) => {
                // Mostly too many open files: the next try fails as well until a connection ends.
                tracing::warn!(%error, "failed to accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, handler, overdue) = (Arc::clone(&tls), Arc::clone(&handler), overdue.clone());
        tasks.spawn(async move {
            let _slot = slot;
            let run = async {
                // Small answers must not wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                // On the heap, so that an idle connection does not keep the room of a handshake.
                let accepted = Box::pin(timeout(limits.handshake, tls.accept(stream))).await;
                match accepted {
                    Ok(Ok((stream, peer))) => handler(stream, peer, address).await,
                    Ok(Err(error)) => {
                        tracing::debug!(%address, error = &error as &dyn std::error::Error, "refused a connection");
                    }
                    Err(_) => tracing::debug!(%address, "the handshake took too long"),
                }
            };
            tokio::select! {
                () = overdue.cancelled() => {}
                () = run => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    if timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "dropped connections that did not end in time");
        overdue.cancel();
        tasks.wait().await;
    }
}
