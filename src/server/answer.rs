//! The body of an answer: it knows when its last byte is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

use super::activity::Ticket;

/// Says of a response that it answers a review.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reviewed;

/// A body that holds its ticket until what it gave away is sent. HTTP/2 takes a body's bytes long before the client lets
/// it send them, and asks the body for nothing more until then: the bytes themselves must know.
pub(super) struct Answer {
    body: Body,
    ticket: Arc<Ticket>,
}

/// Bytes on their way.
struct Piece {
    bytes: Bytes,
    _ticket: Arc<Ticket>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Answer {
    /// An answer that is to be sent.
    pub(super) fn new(body: Body, ticket: Arc<Ticket>) -> Self {
        Self { body, ticket }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| {
            frame.map_data(|bytes| Bytes::from_owner(Piece { bytes, _ticket: Arc::clone(&self.ticket) }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
