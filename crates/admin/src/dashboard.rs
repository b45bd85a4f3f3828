//! The dashboard: a page for browsers, and the files that it is made of.
//!
//! All of it is in the binary and none of it knows anything: what it shows it asks the API for, with the
//! token that a person gives it. So the files themselves are answered to everybody.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Below this are the files of the page.
const FOLDER: &str = "/dashboard/";

/// What a browser lets the page do: ask us, and nobody else; run what is in its files, and nothing that
/// has found its way into the text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const PAGE: File = File { kind: HTML, text: include_str!("dashboard/index.html") };

/// Every other file, by its name.
const FILES: &[(&str, File)] = &[
    ("style.css", File { kind: CSS, text: include_str!("dashboard/style.css") }),
    ("icon.svg", File { kind: SVG, text: include_str!("dashboard/icon.svg") }),
    ("theme.js", File { kind: SCRIPT, text: include_str!("dashboard/theme.js") }),
    ("app.js", File { kind: SCRIPT, text: include_str!("dashboard/app.js") }),
    ("actions.js", File { kind: SCRIPT, text: include_str!("dashboard/actions.js") }),
    ("api.js", File { kind: SCRIPT, text: include_str!("dashboard/api.js") }),
    ("backends.js", File { kind: SCRIPT, text: include_str!("dashboard/backends.js") }),
    ("charts.js", File { kind: SCRIPT, text: include_str!("dashboard/charts.js") }),
    ("config.js", File { kind: SCRIPT, text: include_str!("dashboard/config.js") }),
    ("dom.js", File { kind: SCRIPT, text: include_str!("dashboard/dom.js") }),
    ("history.js", File { kind: SCRIPT, text: include_str!("dashboard/history.js") }),
    ("incident.js", File { kind: SCRIPT, text: include_str!("dashboard/incident.js") }),
    ("judge.js", File { kind: SCRIPT, text: include_str!("dashboard/judge.js") }),
    ("services.js", File { kind: SCRIPT, text: include_str!("dashboard/services.js") }),
    ("words.js", File { kind: SCRIPT, text: include_str!("dashboard/words.js") }),
];

/// A file of the page.
#[derive(Clone, Copy)]
struct File {
    kind: &'static str,
    text: &'static str,
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, self.kind), (CONTENT_SECURITY_POLICY, POLICY)], self.text).into_response()
    }
}

/// The page at `/` for whoever wants HTML, `index` for others, and the files of the page.
pub(crate) fn router(index: fn() -> Response) -> Router {
    let router = Router::new().route("/", get(page)).with_state(index);
    FILES.iter().fold(router, |router, (name, file)| {
        router.route(&format!("{FOLDER}{name}"), get(async move || *file))
    })
}

async fn page(State(index): State<fn() -> Response>, headers: HeaderMap) -> Response {
    let mut response = if wants_page(&headers) { PAGE.into_response() } else { index() };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether this is for the page itself, which knows nothing that needs a token.
pub(crate) fn is_open(path: &str, headers: &HeaderMap) -> bool {
    path.starts_with(FOLDER) || (path == "/" && wants_page(headers))
}

/// Browsers name HTML when a person goes somewhere; curl and scripts do not.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_html_gets_the_page() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            wants_page(&headers)
        };
        for browser in
            ["text/html", "text/html,application/xhtml+xml;q=0.9", "a/b, Text/HTML;q=0.5"]
        {
            assert!(wants(browser), "{browser}");
        }
        for other in ["*/*", "", "application/json", "text/plain", "text/html;q=0", "text/htmlx"] {
            assert!(!wants(other), "{other}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn each_file_of_the_page_is_there_and_none_reaches_out() {
        let named = |text: &str, before: &str, after: char| -> Vec<String> {
            let rest = text.split(before).skip(1);
            rest.filter_map(|rest| rest.split(after).next()).map(str::to_owned).collect()
        };
        let is_there = |name: &str| FILES.iter().any(|(file, _)| *file == name);
        for (name, file) in FILES.iter().copied().chain([("index.html", PAGE)]) {
            for part in named(file.text, "from \"./", '"') {
                assert!(is_there(&part), "{name} imports {part}");
            }
            for part in named(file.text, "\"dashboard/", '"') {
                assert!(is_there(&part), "{name} asks for {part}");
            }
            for outside in ["https://", "@import", "innerHTML", "eval(", "style=\"", "onclick="] {
                assert!(!file.text.contains(outside), "{name} has {outside}");
            }
            let within = named(file.text, "url(", ')');
            assert!(within.iter().all(|place| place.starts_with('#')), "{name}: {within:?}");
            let elsewhere = named(file.text, "http://", '"');
            assert!(
                elsewhere.iter().all(|rest| rest.starts_with("www.w3.org/")),
                "{name}: {elsewhere:?}"
            );
        }
    }
}
