//! Requests to a hub: attempts, redirects followed by hand, the token for the endpoint alone.
//!
//! Not by the crate `hf-hub`, whose names for the cache's places [`crate::models::cache`] takes: 0.5
//! sends the token to the target of an absolute redirect (hf-hub 141) and fails on files of the hub's
//! own (144); 1.0 stores the bodies of errors as weights and does not go on with what was cut (196).

use std::io;
use std::thread;
use std::time::Duration;

use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, LOCATION, RANGE, RETRY_AFTER, USER_AGENT,
};
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::destination::{PublicResolver, follow, is_same_origin};
use crate::models::error::HubError;
use crate::models::options::{HubOptions, Token};

const ATTEMPTS: u32 = 5;
const MAX_REDIRECTS: usize = 8;
/// A server that asks for more patience is told to the user instead.
const MAX_PATIENCE_S: u64 = 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte for so long, a connection counts as cut.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest listing of a repository.
const MAX_LISTING_BYTES: u64 = 16 << 20;

/// An HTTP client of one hub.
pub(super) struct Client {
    endpoint: Uri,
    token: Option<Token>,
    /// For the endpoint.
    trusted: Agent,
    /// For where it redirects to.
    public: Agent,
    backoff: Duration,
}

/// What is asked of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Headers, of the endpoint itself: a redirect to elsewhere is an answer.
    Headers,
    /// The body from this byte on.
    From(u64),
}

/// Why an attempt failed, and whether another one may help.
enum Failure {
    Final(HubError),
    /// After the seconds that the server asks for, if it does.
    Again(HubError, Option<u64>),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl Client {
    pub(super) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let refuse = |problem: &str| HubError::Setting {
            what: "hub.endpoint",
            value: options.endpoint.clone(),
            problem: problem.to_owned(),
        };
        let endpoint: Uri =
            options.endpoint.trim_end_matches('/').parse().map_err(|_| refuse("is no URL"))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) || endpoint.host().is_none() {
            return Err(refuse("must start with http:// or https:// and name a host"));
        }
        if endpoint.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refuse("may not hold a user and password"));
        }
        let proxy = proxy(options)?;
        let resolver = PublicResolver::beside(proxy.as_ref().map(Proxy::host));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(root_certificates(options)?).build())
            .build();
        let connector = DefaultConnector::default;
        let trusted = Agent::with_parts(config.clone(), connector(), DefaultResolver::default());
        let public = Agent::with_parts(config, connector(), resolver);
        Ok(Self {
            endpoint,
            token: options.token.clone(),
            trusted,
            public,
            backoff: options.backoff,
        })
    }

    /// The URL of `path` on the hub, which starts with a slash.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.to_string().trim_end_matches('/'))
    }

    /// A JSON document.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, HubError> {
        self.attempt(|| {
            let response = self.ask(url, Ask::From(0))?;
            let reader = response.into_body().into_with_config().limit(MAX_LISTING_BYTES).reader();
            serde_json::from_reader(io::BufReader::new(reader)).map_err(|error| {
                let cut = error.is_io() || error.is_eof();
                let error = unavailable(url, &format!("answered with no such listing: {error}"));
                if cut { Failure::Again(error, None) } else { Failure::Final(error) }
            })
        })
    }

    /// The headers of the endpoint's answer, and of those it redirects to within itself.
    pub(super) fn headers(&self, url: &str) -> Result<HeaderMap, HubError> {
        self.attempt(|| Ok(self.ask(url, Ask::Headers)?.headers().clone()))
    }

    /// Hands the body of `url` to `read`, which says from which byte on it wants it and may fail
    /// midway, to go on where it stopped.
    pub(super) fn body(
        &self,
        url: &str,
        mut start: impl FnMut() -> Result<u64, HubError>,
        mut read: impl FnMut(Response<Body>) -> Result<(), BodyError>,
    ) -> Result<(), HubError> {
        self.attempt(|| {
            let response = self.ask(url, Ask::From(start()?))?;
            read(response).map_err(|error| match error {
                BodyError::Hub(error) => Failure::Final(error),
                BodyError::Cut(error) => Failure::Again(unavailable(url, &error.to_string()), None),
            })
        })
    }

    fn attempt<T>(&self, mut run: impl FnMut() -> Result<T, Failure>) -> Result<T, HubError> {
        let mut wait = self.backoff;
        for _ in 1..ATTEMPTS {
            match run() {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(error, asked)) => {
                    let asked = asked.map(Duration::from_secs);
                    if asked.is_some_and(|asked| asked.as_secs() > MAX_PATIENCE_S) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "trying again");
                    thread::sleep(asked.unwrap_or(wait));
                    wait *= 2;
                }
            }
        }
        run().map_err(|failure| match failure {
            Failure::Final(error) | Failure::Again(error, _) => error,
        })
    }

    /// One attempt: follows redirects, and gives an answer that is a success, or for headers also
    /// one that redirects to elsewhere.
    fn ask(&self, url: &str, ask: Ask) -> Result<Response<Body>, Failure> {
        let parsed = url.parse().map_err(|_| unavailable(url, "is no URL"));
        let mut target: Uri = parsed?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.call(&target, ask)?;
            let status = response.status();
            let location = response.headers().get(LOCATION).filter(|_| is_redirect(status));
            let Some(location) = location else {
                return check_status(&target, response).map_err(|failure| *failure);
            };
            let location = String::from_utf8_lossy(location.as_bytes());
            let next = follow(&self.endpoint, &target, &location)?;
            let elsewhere = !is_same_origin(&self.endpoint, &next);
            if ask == Ask::Headers && (elsewhere || describes_its_target(response.headers())) {
                return Ok(response);
            }
            target = next;
        }
        Err(unavailable(url, &format!("redirects more than {MAX_REDIRECTS} times")).into())
    }

    fn call(&self, target: &Uri, ask: Ask) -> Result<Response<Body>, Failure> {
        let is_endpoint = is_same_origin(&self.endpoint, target);
        let is_trusted = target.host() == self.endpoint.host();
        let agent = if is_trusted { &self.trusted } else { &self.public };
        let mut request = match ask {
            Ask::Headers => agent.head(target),
            Ask::From(_) => agent.get(target),
        };
        // Sizes and ranges are those of the file, not of a compressed form.
        request = request.header(ACCEPT_ENCODING, "identity");
        request = request.header(USER_AGENT, concat!("chunkflow/", env!("CARGO_PKG_VERSION")));
        if let Ask::From(start @ 1..) = ask {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| is_endpoint) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        request.call().map_err(|error| {
            let problem = error.to_string();
            Failure::Again(unavailable(&without_query(target), &problem), None)
        })
    }
}

/// Why a body was not read to its end.
pub(super) enum BodyError {
    /// The connection ended early.
    Cut(io::Error),
    /// Anything that another attempt does not mend.
    Hub(HubError),
}

/// Whether a redirect says of the file what there is to know.
fn describes_its_target(headers: &HeaderMap) -> bool {
    headers.contains_key("x-linked-etag") && headers.contains_key("x-linked-size")
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn check_status(target: &Uri, response: Response<Body>) -> Result<Response<Body>, Box<Failure>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = without_query(target);
    Err(Box::new(match status.as_u16() {
        status @ (401 | 403) => Failure::Final(HubError::Denied { url, status }),
        404 | 410 => Failure::Final(HubError::NotFound { url }),
        429 => {
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|value| value.trim().parse().ok());
            Failure::Again(HubError::Throttled { url, retry_after_s: asked }, asked)
        }
        408 | 500.. => Failure::Again(unavailable(&url, &format!("answers {status}")), None),
        _ => Failure::Final(unavailable(&url, &format!("answers {status}"))),
    }))
}

pub(super) fn unavailable(url: &str, problem: &str) -> HubError {
    HubError::Unavailable { url: url.to_owned(), problem: problem.to_owned() }
}

/// Signed links carry their permission in the query, which is nobody's to read in a log.
fn without_query(url: &Uri) -> String {
    let text = url.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

/// The proxy that the options name, with its exceptions.
fn proxy(options: &HubOptions) -> Result<Option<Proxy>, HubError> {
    let Some(url) = &options.proxy else { return Ok(None) };
    // A proxy's URL may hold a password.
    let refuse = |error: ureq::Error| HubError::Setting {
        what: "proxy",
        value: url.rsplit('@').next().unwrap_or_default().to_owned(),
        problem: error.to_string(),
    };
    let parsed = Proxy::new(url).map_err(refuse)?;
    let Some(exceptions) = &options.no_proxy else { return Ok(Some(parsed)) };
    let protocol: ProxyProtocol = parsed.protocol();
    let mut builder = Proxy::builder(protocol).host(parsed.host()).port(parsed.port());
    if let Some(username) = parsed.username() {
        builder = builder.username(username);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for exception in exceptions.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        builder = builder.no_proxy(exception);
    }
    builder.build().map(Some).map_err(refuse)
}

/// The certificates of the file that the options name, otherwise those of Mozilla.
fn root_certificates(options: &HubOptions) -> Result<RootCerts, HubError> {
    let Some(path) = &options.certificates else { return Ok(RootCerts::WebPki) };
    let refuse = |problem: String| HubError::Setting {
        what: "certificates",
        value: path.display().to_string(),
        problem,
    };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(refuse("holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates.into())
}
