//! Reads a review's body within its bounds.

use std::time::Instant;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The largest review that is read, in bytes. An object may have 1.5 MiB in etcd; a review carries it twice, and JSON
/// may be several times the size of the protobuf that is stored.
pub(super) const LIMIT: usize = 8 << 20;
/// Bytes of all bodies together.
const BUDGET: usize = 256 << 20;
/// Bytes of one permit.
const UNIT: usize = 1 << 10;
/// Bytes kept of a body that is too much: the uid stands at the front.
const HEAD: usize = 64 << 10;
/// Bytes that are read and thrown away, so that the caller gets to read the answer.
const DRAINED: usize = 64 << 20;

/// The room that all bodies share.
pub(super) struct Budget(Semaphore);

/// What came.
pub(super) enum Read<'b> {
    /// All of it.
    Whole {
        /// The body.
        bytes: Bytes,
        /// Gives its room back when dropped.
        _room: Option<SemaphorePermit<'b>>,
    },
    /// More than the limit; the front of it.
    TooLarge(Bytes),
    /// There was no room; the front of it.
    NoRoom(Bytes),
    /// It did not come in time, or broke off.
    Broken,
}

impl Budget {
    /// The room of one server.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(BUDGET / UNIT))
    }

    /// Reads a body until `deadline`.
    pub(super) async fn read(&self, mut body: Body, deadline: Instant) -> Read<'_> {
        let reading = async {
            let mut bytes = BytesMut::new();
            let mut held: Option<SemaphorePermit<'_>> = None;
            loop {
                let data = match next(&mut body).await {
                    Ok(Some(data)) => data,
                    Ok(None) => return Read::Whole { bytes: bytes.freeze(), _room: held },
                    Err(()) => return Read::Broken,
                };
                if bytes.len() + data.len() > LIMIT {
                    let head = head(bytes, &data);
                    drop(held);
                    drain(&mut body).await;
                    return Read::TooLarge(head);
                }
                let units = data.len().div_ceil(UNIT).try_into().unwrap_or(u32::MAX);
                let Ok(permit) = self.0.try_acquire_many(units) else {
                    let head = head(bytes, &data);
                    drop(held);
                    drain(&mut body).await;
                    return Read::NoRoom(head);
                };
                match &mut held {
                    Some(held) => held.merge(permit),
                    None => held = Some(permit),
                }
                bytes.extend_from_slice(&data);
            }
        };
        tokio::time::timeout_at(deadline.into(), reading).await.unwrap_or(Read::Broken)
    }
}

fn head(mut bytes: BytesMut, data: &Bytes) -> Bytes {
    bytes.truncate(HEAD);
    bytes.extend_from_slice(&data[..data.len().min(HEAD)]);
    bytes.freeze()
}

async fn drain(body: &mut Body) {
    let mut drained = 0;
    while let Ok(Some(data)) = next(body).await {
        drained += data.len();
        if drained > DRAINED {
            break;
        }
    }
}

/// The next bytes; trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, ()> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| ())?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
