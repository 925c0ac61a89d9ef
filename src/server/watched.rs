//! A connection's bytes, watched: when headers begin, and whether what is written goes out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::frames::Frames;

/// A stream that tells an [`Activity`] what goes through it.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Frames of the client, on HTTP/2 connections.
    frames: Option<Frames>,
}

impl<S> Watched<S> {
    /// A stream that was secured just now.
    pub(super) fn new(stream: S, activity: Arc<Activity>, is_http2: bool) -> Self {
        Self { stream, activity, frames: is_http2.then(Frames::new) }
    }

    /// Notes how a write ended. One that took something shows that the client reads.
    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.stalled(result.is_pending());
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let had = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = &buffer.filled()[had..];
        if !came.is_empty() {
            let me = &mut *self;
            match &mut me.frames {
                Some(frames) => me.activity.received_frames(frames.feed(came)),
                None => me.activity.received(),
            }
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(result)
    }

    /// An HTTP/1.1 connection that flattened its answers would hold bytes that nobody counts.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.wrote(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.wrote(result)
    }
}
