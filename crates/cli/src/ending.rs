use std::time::Duration;

/// Waits for Ctrl-C, or for the end of so many seconds.
pub(crate) async fn ending(after_seconds: Option<u64>) {
    let timer = async {
        match after_seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = timer => {}
    }
}
