//! The listener: accepts connections until the server has ended in order.

use std::{future::Future, io, pin::pin, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, select, time::sleep};

use crate::{api::router, service::Service};

/// How long a client may take for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long the responses that are complete may take to be read once the server ends.
const READING_TIME: Duration = Duration::from_secs(5);

/// How long it is waited after a connection could not be accepted.
const PATIENCE: Duration = Duration::from_millis(20);

/// Serves a model until `shutdown` is ready. Then no requests are taken any more, which health checks are told, and the
/// running ones are hurried to a complete answer within `drain_timeout`.
///
/// # Errors
/// If the address of the listener is lost.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    drain_timeout: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(service.clone());
    let connections = GracefulShutdown::new();
    let mut ended = pin!(async {
        shutdown.await;
        service.drain(drain_timeout);
        service.wait_until_idle().await;
    });
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            () = &mut ended => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Too many files are open, or the client is gone: neither is a reason to end.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PATIENCE).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection");
            }
        });
    }
    drop(listener);
    select! {
        () = connections.shutdown() => (),
        () = sleep(READING_TIME) => (),
    }
    Ok(())
}
