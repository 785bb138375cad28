//! The HTTP side: what is served, to whom, and under which rules.

use super::{
    answer::{self, Answer, Wish},
    key::Key,
};
use crate::engine::wait::Interrupt;
use axum::{
    Router,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

/// Nothing from elsewhere, nothing inline, nobody else's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// So many questions are worked on at once; others wait.
const AT_ONCE: usize = 2;

struct Site {
    database: PathBuf,
    key: Key,
    /// The values of `Host` under which this server is meant.
    hosts: Vec<String>,
    turns: Semaphore,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the runtime does not start or the socket fails.
pub fn serve(listener: TcpListener, address: SocketAddr, key: Key, database: PathBuf) -> io::Result<()> {
    let port = address.port();
    let mut hosts = vec![address.to_string(), format!("localhost:{port}")];
    if port == 80 {
        hosts.extend(["localhost".to_owned(), address.ip().to_string()]);
    }
    let site = Arc::new(Site { database, key, hosts, turns: Semaphore::new(AT_ONCE) });
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    let router = Router::new()
        .route("/{key}/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/{key}/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
        .route("/{key}/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/{key}/plot.js", file("text/javascript; charset=utf-8", answer::SCRIPT))
        .route(
            "/{key}/plot.css",
            get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], answer::style()) }),
        )
        .route("/{key}/views", get(views))
        .route("/{key}/rows", get(rows))
        .route("/{key}/plot.svg", get(picture))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), rules))
        .with_state(site);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut interrupt = Interrupt::unless_ignored()?;
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            served = axum::serve(listener, router) => served,
            () = interrupt.come() => Ok(()),
            _ = terminated.recv() => Ok(()),
        }
    })?;
    // A question that is still being worked on reads only; nothing is lost by leaving it.
    runtime.shutdown_background();
    Ok(())
}

/// Who may ask: whoever was told the key, from a page of this server or with a program that is no browser. A foreign page
/// can point a name of its own at this machine, but then it is that name that stands in `Host`.
async fn rules(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let refusal = refusal(&site.hosts, request.headers()).or_else(|| {
        let stranger = !site.key.opens(request.uri().path());
        stranger.then_some(
            "Use the whole address that kpidstat explore printed: it ends in the key of this run.\n",
        )
    });
    let mut response = match refusal {
        Some(words) => (StatusCode::FORBIDDEN, words).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

fn refusal(hosts: &[String], headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text("host").unwrap_or_default();
    if !hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
        return Some("This server answers only under the address that kpidstat explore printed.\n");
    }
    // A browser that is led here, by the page that opened it or by a link, comes from elsewhere; it gets a page of its own.
    let led = text("sec-fetch-dest") == Some("document");
    if !led && text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site))
        || text("origin").is_some_and(|origin| origin.strip_prefix("http://") != Some(host))
    {
        return Some("Other pages may not ask this server.\n");
    }
    None
}

async fn views(State(site): State<Arc<Site>>) -> Response {
    answered(site, |site| answer::views(&site.database)).await
}

async fn rows(State(site): State<Arc<Site>>, Query(wish): Query<Wish>) -> Response {
    answered(site, move |site| answer::rows(&site.database, &wish)).await
}

async fn picture(State(site): State<Arc<Site>>, Query(wish): Query<Wish>) -> Response {
    answered(site, move |site| answer::picture(&site.database, &wish)).await
}

/// Works on a question beside the loop, when it is its turn.
async fn answered(site: Arc<Site>, work: impl FnOnce(&Site) -> Answer + Send + 'static) -> Response {
    let Ok(_turn) = site.turns.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let own = Arc::clone(&site);
    match tokio::task::spawn_blocking(move || work(&own)).await {
        Ok(Ok((kind, text))) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Ok(Err(words)) => (StatusCode::BAD_REQUEST, words).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_refused() {
        let hosts = ["127.0.0.1:8000".to_owned(), "localhost:8000".to_owned()];
        let asked = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            refusal(&hosts, &map).is_none()
        };
        assert!(asked(&[("host", "127.0.0.1:8000")]));
        assert!(asked(&[("host", "LocalHost:8000"), ("sec-fetch-site", "same-origin")]));
        assert!(asked(&[("host", "localhost:8000"), ("origin", "http://localhost:8000")]));
        let led =
            [("host", "localhost:8000"), ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")];
        assert!(asked(&led));
        for other in [
            &[][..],
            &[("host", "evil.example:8000")],
            &[("host", "localhost:8001")],
            &[("host", "localhost:8000"), ("sec-fetch-site", "cross-site")],
            &[("host", "localhost:8000"), ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "iframe")],
            &[("host", "localhost:8000"), ("origin", "http://evil.example")],
            &[("host", "localhost:8000"), ("origin", "null")],
        ] {
            assert!(!asked(other), "{other:?}");
        }
    }
}
