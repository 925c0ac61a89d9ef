//! Headers that every answer of both ports carries, whatever its status.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;

/// An answer is what it says it is, and nobody keeps it: it may quote an object.
const HEADERS: [(header::HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The same routes, and their fallback, with these headers on every answer.
pub(super) fn with_headers(router: Router) -> Router {
    router.layer(map_response(async |response: Response| added(response)))
}

/// The same answer with them.
pub(super) fn added(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}
