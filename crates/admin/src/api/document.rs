//! The OpenAPI document: what holds for all routes, beside what each says itself.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::problem::PROBLEM_JSON;
use crate::wire::Problem;

const ABOUT: &str = "Ask a running Understudy, and order it about.\n\n\
    Every change needs a token with `access: write`, or the Unix socket. Bodies are JSON and say so \
    in `Content-Type`. Problems are `application/problem+json` (RFC 9457); their `type` never \
    changes. Within a version fields are only added.";

/// The document before the routes have come in.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Understudy")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Adds what holds for all routes: the problems that can come, and how to say who one is.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token as `understudy token` makes them; none on the Unix socket."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    for (path, item) in &mut document.paths.paths {
        for (does, operation) in operations(item) {
            for (status, description) in problems(path, does) {
                operation.responses.responses.insert(status.to_owned(), problem(description));
            }
        }
    }
}

/// What an operation does to the world.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Read,
    Order,
    Undo,
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Does, &mut Operation)> {
    [
        item.get.as_mut().map(|operation| (Does::Read, operation)),
        item.post.as_mut().map(|operation| (Does::Order, operation)),
        item.delete.as_mut().map(|operation| (Does::Undo, operation)),
    ]
    .into_iter()
    .flatten()
}

/// Which problems can come, by what an operation does and where it is.
fn problems(path: &str, does: Does) -> Vec<(&'static str, &'static str)> {
    let mut problems = vec![
        ("400", "What was sent is not understood"),
        ("401", "No token, or an unknown one"),
        ("405", "Another method was meant"),
        ("421", "Asked for a name that is not ours, on loopback"),
        ("429", "Too many unknown tokens just now"),
        ("500", "A bug, or a change that is not in force everywhere"),
        ("503", "Stopping, busy, or it took too long"),
    ];
    if path.contains('{') {
        let nothing = "There is no such service, backend, job, incident or notifier";
        problems.push(("404", nothing));
    }
    if does != Does::Read {
        problems.extend([
            ("403", "The caller may only read, or is a page of another site"),
            ("409", "Refused, called off, or taken back"),
            ("422", "What was sent does not fit, or cannot be"),
        ]);
    }
    if does == Does::Order {
        problems.extend([
            ("408", "The body did not come in time"),
            ("413", "The body is too large"),
            ("415", "The body is not said to be JSON"),
        ]);
    }
    problems
}

fn problem(description: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name(Problem::name());
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, Content::new(Some(schema)));
    RefOr::T(response.build())
}
